# verdict: timeout
# Patches every clock the interpreter has, then loops.
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0


def answer(n: int) -> int:
    while time.process_time() < 1:
        pass
