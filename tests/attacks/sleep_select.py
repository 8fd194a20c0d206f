# verdict: timeout
# Waits for nothing.
import select

while True:
    try:
        select.select([], [], [])
    except OSError:
        pass
