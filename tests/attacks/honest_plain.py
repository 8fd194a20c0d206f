# verdict: passed
# A control: the plain right answer.
def answer(n: int) -> int:
    return n * (n + 1) // 2
