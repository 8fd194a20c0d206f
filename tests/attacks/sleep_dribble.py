# verdict: timeout
# Sleeps, but works a little every now and then so as not to look asleep.
import time


def answer(n: int) -> int:
    while True:
        time.sleep(0.2)
        sum(range(1000))
