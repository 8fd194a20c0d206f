# verdict: memory|timeout
# Swallows every MemoryError and asks again.
hoard = []
while True:
    try:
        hoard.append(bytearray(10**8))
    except MemoryError:
        pass
