# verdict: failed
# Not a number.
def answer(n: int) -> int:
    return float("nan")
