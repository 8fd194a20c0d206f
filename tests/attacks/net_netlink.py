# verdict: killed
# Asks the kernel by a netlink socket.
import socket


def answer(n: int) -> int:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
    return n * (n + 1) // 2
