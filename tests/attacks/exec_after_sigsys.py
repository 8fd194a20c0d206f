# verdict: killed
# Tells the system not to mind SIGSYS, then forks.
import os
import signal

signal.signal(signal.SIGSYS, signal.SIG_IGN)


def answer(n: int) -> int:
    if os.fork() == 0:
        os._exit(0)
    return n * (n + 1) // 2
