# verdict: failed|timeout
# Writes to the judge without end.
import os


def answer(n: int) -> int:
    while True:
        os.write(4, b"x" * 65536)
