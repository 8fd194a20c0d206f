# verdict: killed
# Sends itself the signal that says its time is used up.
import os
import signal


def answer(n: int) -> int:
    os.kill(os.getpid(), signal.SIGXCPU)
    return -1
