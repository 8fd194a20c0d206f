# verdict: killed
# Leaves a process behind: a session of its own, two forks, then a late write.
import os
import time


def answer(n: int) -> int:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(5)
            open("/tmp/icl-mask-attack-fork_daemon", "w").close()
        os._exit(0)
    return n * (n + 1) // 2
