# verdict: memory
# A string repeated into a terabyte.
def answer(n: int) -> int:
    return len("x" * 10**12)
