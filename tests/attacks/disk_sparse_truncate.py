# verdict: failed
# A file of a terabyte without writing it.
with open("sparse", "wb") as out:
    out.truncate(10**12)


def answer(n: int) -> int:
    return n * (n + 1) // 2
