# verdict: memory
# A terabyte at once.
def answer(n: int) -> int:
    return len(bytearray(10**12))
