# verdict: failed
# Sends the judge bytes that nobody asked for.
import os

os.write(4, bytes(range(255, -1, -1)) * 16)


def answer(n: int) -> int:
    return -1
