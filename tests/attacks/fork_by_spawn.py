# verdict: killed
# posix_spawn, which makes its process by another system call than fork.
import os


def answer(n: int) -> int:
    os.posix_spawn("/bin/true", ["true"], {})
    return n * (n + 1) // 2
