# verdict: failed|memory
# Raises an exception with a message of 100 MB.
def answer(n: int) -> int:
    raise ValueError("passed\n" * (10**8 // 7))
