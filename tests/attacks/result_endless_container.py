# verdict: failed|memory|timeout
# A list of a kind whose items never end.
import itertools


class Endless(list):
    def __iter__(self):
        return itertools.count()


def answer(n: int) -> int:
    return Endless([1])
