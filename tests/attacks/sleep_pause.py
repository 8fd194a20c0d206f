# verdict: timeout
# Waits for a signal that does not come.
import signal

while True:
    signal.pause()
