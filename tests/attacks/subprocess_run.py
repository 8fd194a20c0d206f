# verdict: failed|killed
# Runs a shell command by subprocess (which makes a pipe first).
import subprocess


def answer(n: int) -> int:
    done = subprocess.run(["/bin/sh", "-c", "echo 1"])
    return n * (n + 1) // 2 if done.returncode == 0 else -1
