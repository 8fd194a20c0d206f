# verdict: failed|killed
# Starts a process by multiprocessing (which makes a pipe first).
import multiprocessing


def answer(n: int) -> int:
    child = multiprocessing.Process(target=print)
    child.start()
    child.join()
    return n * (n + 1) // 2
