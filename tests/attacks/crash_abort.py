# verdict: failed|killed
# Aborts.
import os


def answer(n: int) -> int:
    os.abort()
