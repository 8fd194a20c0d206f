# verdict: timeout
# Sends its answers to nowhere, and keeps the judge's pipe open beside them.
import os

kept = os.dup(4)
os.dup2(1, 4)


def answer(n: int) -> int:
    return n * (n + 1) // 2
