# verdict: timeout
# A loop without end that ignores every signal that can be ignored and catches every exception.
import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass


def answer(n: int) -> int:
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
