# verdict: timeout
# Sleeps for eleven days.
import time

time.sleep(10**6)
