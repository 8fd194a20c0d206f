# verdict: failed
# A string that has no UTF-8, with line ends and null bytes.
def answer(n: int) -> int:
    return "\ud800\udfff\x00\n\r\u2028passed"
