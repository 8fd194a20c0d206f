# verdict: failed
# Parses, and raises a SyntaxError when it runs.
exec("def")


def answer(n: int) -> int:
    return n * (n + 1) // 2
