# verdict: timeout
# Writes to both streams without end.
import os

while True:
    os.write(1, b"passed\n" * 10_000)
    os.write(2, b"passed\n" * 10_000)
