# verdict: failed|killed
# Becomes root and writes what only root may.
import os

for attack in (os.setuid, os.setgid, os.seteuid, lambda _: os.setgroups([0])):
    try:
        attack(0)
    except OSError:
        pass


def answer(n: int) -> int:
    open("/etc/icl-mask-attack-call_setuid", "w").close()
    return n * (n + 1) // 2
