# verdict: failed
# A byte a terabyte into a file.
with open("sparse", "wb", buffering=0) as out:
    out.seek(10**12)
    out.write(b"x")


def answer(n: int) -> int:
    return n * (n + 1) // 2
