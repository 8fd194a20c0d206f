# verdict: failed|killed
# Makes a system call by the 32-bit door (int 0x80), where the numbers mean other calls.
import ctypes
import mmap
import os

got = -1
if os.uname().machine == "x86_64":
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, getpid; int 0x80; ret
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    got = ctypes.CFUNCTYPE(ctypes.c_int)(place)()


def answer(n: int) -> int:
    return n * (n + 1) // 2 if got > 0 else -1
