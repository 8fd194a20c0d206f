# verdict: memory|timeout
# A power that no machine holds.
def answer(n: int) -> int:
    return (10 + n) ** 10**10
