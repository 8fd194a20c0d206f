# verdict: failed
# Makes a file in its folder and moves it out.
import os

open("mine", "w").close()


def answer(n: int) -> int:
    os.rename("mine", "/tmp/icl-mask-attack-write_by_move")
    return n * (n + 1) // 2
