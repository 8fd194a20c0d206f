# verdict: timeout
# Waits for a lock that it holds itself.
import threading


def answer(n: int) -> int:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    return n * (n + 1) // 2
