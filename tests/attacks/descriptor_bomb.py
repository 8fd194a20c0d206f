# verdict: failed
# Holds a thousand descriptors.
import os

held = [os.dup(1) for _ in range(1000)]


def answer(n: int) -> int:
    return n * (n + 1) // 2
