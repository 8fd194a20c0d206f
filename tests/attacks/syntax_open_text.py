# verdict: syntax
# Ends in the middle of a text.
def answer(n: int) -> int:
    """return n * (n + 1) // 2
