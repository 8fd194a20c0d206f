# verdict: failed|killed
# Renames the machine (to what it is called).
import os
import socket


def answer(n: int) -> int:
    socket.sethostname(os.uname().nodename)
    return n * (n + 1) // 2
