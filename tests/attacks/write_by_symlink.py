# verdict: failed
# Writes through a symbolic link out of its folder.
import os

os.symlink("/tmp/icl-mask-attack-write_by_symlink", "link")


def answer(n: int) -> int:
    open("link", "w").close()
    return n * (n + 1) // 2
