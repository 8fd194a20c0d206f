# verdict: passed
# A control: quotes, backslashes, braces and far letters reach the interpreter as they are.
odd = """ ''' \\ \x00 \n {n} {{}} %s $(true) `true` $HOME é 漢 🙂 """


def answer(n: int) -> int:
    "The docstring's \"quotes\" and '''quotes'''."
    whole = len(odd) == 50 and odd.endswith("é 漢 🙂 ") and "\0" in odd
    return n * (n + 1) // 2 if whole else -1
