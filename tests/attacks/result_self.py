# verdict: failed
# A list that holds itself.
def answer(n: int) -> int:
    loop = [n]
    loop.append(loop)
    return loop
