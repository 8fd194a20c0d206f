# verdict: failed|timeout
# Folders 2000 deep, longer than a path may be, for whatever cleans up.
import os

for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")


def answer(n: int) -> int:
    return -1
