# verdict: failed|memory|timeout
# Recursion of Python alone without a limit, which fills memory.
import sys

sys.setrecursionlimit(10**9)


def answer(n: int) -> int:
    return answer(n + 1)
