# verdict: memory
# An integer of 10**11 bits.
def answer(n: int) -> int:
    return (1 << (10**11 + n)) % 7
