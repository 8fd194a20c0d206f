# verdict: failed|killed
# Sends a signal to its parent (or to process 1) by a process descriptor, with no call of kill.
import os
import signal

fd = os.pidfd_open(os.getppid() or 1)
signal.pidfd_send_signal(fd, 0)


def answer(n: int) -> int:
    return n * (n + 1) // 2 if os.getppid() else -1
