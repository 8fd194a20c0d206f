# verdict: failed
# One file without end (64 MiB would be a breach).
with open("huge", "wb") as out:
    for _ in range(64):
        out.write(bytes(1 << 20))


def answer(n: int) -> int:
    return n * (n + 1) // 2
