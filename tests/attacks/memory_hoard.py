# verdict: memory|failed|timeout
# Takes all memory down to the last bytes and keeps it, so that none is left to report with.
hoard = []


def answer(n: int) -> int:
    for size in (10**7, 10**5, 10**3, 10):
        try:
            while True:
                hoard.append(bytearray(size))
        except MemoryError:
            pass
    raise MemoryError
