# verdict: failed|timeout
# A set of numbers with one hash, slow to build again for whoever reads it.
def answer(n: int) -> int:
    return {i * (2**61 - 1) for i in range(5000)}
