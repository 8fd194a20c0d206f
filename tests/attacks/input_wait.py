# verdict: failed
# Asks the user for the answer.
def answer(n: int) -> int:
    return int(input("the answer? "))
