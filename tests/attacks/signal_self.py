# verdict: killed
# Kills itself with the signal that a limit would send.
import os
import signal


def answer(n: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return -1
