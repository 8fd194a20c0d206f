# verdict: failed
# A coroutine that nobody awaits.
async def answer(n: int) -> int:
    return n * (n + 1) // 2
