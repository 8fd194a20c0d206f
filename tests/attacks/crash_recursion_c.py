# verdict: failed
# Recursion through C without a limit, until the stack is full.
import sys

sys.setrecursionlimit(10**9)


def answer(n: int) -> int:
    return max(map(answer, [n + 1]))
