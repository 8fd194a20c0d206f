# verdict: memory
# A dict of large values without end.
def answer(n: int) -> int:
    kept = {}
    while True:
        kept[len(kept)] = bytes(10**6)
