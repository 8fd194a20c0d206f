# verdict: failed|memory|timeout
# Compiles a sum of half a million terms.
def answer(n: int) -> int:
    return eval("+".join(["n"] * 500_000)) and -1
