# verdict: failed
# Runs bytes that are no bytecode.
def answer(n: int) -> int:
    broken = (lambda: 0).__code__.replace(co_code=bytes([255, 255] * 8), co_consts=())
    exec(broken)
    return -1
