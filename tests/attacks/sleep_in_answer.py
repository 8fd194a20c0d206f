# verdict: timeout
# Answers the first calls and sleeps in a later one.
import time


def answer(n: int) -> int:
    if n > 3:
        time.sleep(10**6)
    return n * (n + 1) // 2
