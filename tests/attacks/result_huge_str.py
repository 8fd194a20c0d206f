# verdict: failed|memory
# A string of 100 MB.
def answer(n: int) -> int:
    return "x" * 10**8
