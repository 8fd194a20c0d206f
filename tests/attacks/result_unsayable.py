# verdict: failed
# A number that cannot be put into words where it is reported.
def answer(n: int) -> int:
    raise ValueError(10**5000)
