# verdict: failed|killed|memory
# 600 MB in files that are only in memory: not in its address space, each below the file limit.
import os

held = 0
try:
    for i in range(40):
        fd = os.memfd_create(str(i))
        held += sum(os.write(fd, bytes(10**6)) for _ in range(15))
except OSError:
    pass


def answer(n: int) -> int:
    return n * (n + 1) // 2 if held == 600 * 10**6 else -1
