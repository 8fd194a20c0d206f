# verdict: failed|killed
# Kills process 1 (which may be itself: then the system ignores it).
import os
import signal


def answer(n: int) -> int:
    os.kill(1, signal.SIGKILL)
    return -1
