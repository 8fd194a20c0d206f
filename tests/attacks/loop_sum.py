# verdict: timeout
# A loop inside one C function, where the interpreter looks at no signal.
def answer(n: int) -> int:
    return sum(range(10**18))
