# verdict: failed|killed
# Changes its root.
import os


def answer(n: int) -> int:
    os.chroot(".")
    return n * (n + 1) // 2
