# verdict: failed|memory|timeout
# A list of five million small items, far larger as objects than as bytes.
def answer(n: int) -> int:
    return [()] * 5_000_000
