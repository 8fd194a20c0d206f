# verdict: killed
# Kills its process group.
import os
import signal


def answer(n: int) -> int:
    os.killpg(0, signal.SIGKILL)
    return n * (n + 1) // 2
