# verdict: failed|killed|timeout
# Stops itself, so that it neither works nor ends.
import os
import signal


def answer(n: int) -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return -1
