# verdict: killed
# A thread that goes on after the answer and writes over the answers to come.
import os
import threading


def chatter() -> None:
    while True:
        os.write(4, b"passed\n")


def answer(n: int) -> int:
    threading.Thread(target=chatter, daemon=True).start()
    return n * (n + 1) // 2
