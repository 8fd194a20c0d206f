# verdict: failed|memory
# Compiles a hundred thousand minus signs.
def answer(n: int) -> int:
    return eval("-" * 100_000 + "n") and -1
