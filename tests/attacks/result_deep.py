# verdict: failed
# A list a hundred thousand deep.
def answer(n: int) -> int:
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep
