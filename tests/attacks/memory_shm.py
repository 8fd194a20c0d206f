# verdict: failed
# Shared memory by name, which is a file in /dev/shm.
import os

import _posixshmem

fd = _posixshmem.shm_open("/icl-mask-attack-memory_shm", os.O_CREAT | os.O_RDWR, mode=0o600)


def answer(n: int) -> int:
    return n * (n + 1) // 2
