# verdict: failed|memory|timeout
# Thirty small lists that are 10**30 items when they are written out.
def answer(n: int) -> int:
    wide = [0] * 10
    for _ in range(30):
        wide = [wide] * 10
    return wide
