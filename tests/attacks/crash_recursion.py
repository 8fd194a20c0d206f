# verdict: failed
# Recursion without end.
def answer(n: int) -> int:
    return answer(n + 1)
