# verdict: syntax
# Does not parse.
def answer(n: int) -> int:
    return n * (n + 1 // 2
