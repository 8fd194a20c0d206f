# verdict: failed
# A generator without end.
def answer(n: int) -> int:
    while True:
        yield n
