# verdict: killed
# Connects to the machine itself.
import socket


def answer(n: int) -> int:
    socket.create_connection(("127.0.0.1", 22), timeout=0.2)
    return n * (n + 1) // 2
