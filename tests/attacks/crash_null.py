# verdict: failed
# Reads address 0.
import ctypes


def answer(n: int) -> int:
    return len(ctypes.string_at(0))
