# verdict: failed|killed
# Types a space into the user's terminal.
import fcntl
import os
import termios

fd = os.open("/dev/tty", os.O_RDWR)
fcntl.ioctl(fd, termios.TIOCSTI, b" ")


def answer(n: int) -> int:
    return n * (n + 1) // 2
