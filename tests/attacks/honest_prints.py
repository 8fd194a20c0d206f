# verdict: passed
# A control: the right answer with much printed on both streams.
import sys


def answer(n: int) -> int:
    for i in range(5000):
        print("step", i, "passed" * 10)
        print("step", i, file=sys.stderr)
    return n * (n + 1) // 2
