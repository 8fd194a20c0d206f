# verdict: failed|timeout
# Opens a pipe by name that nobody writes.
import os

os.mkfifo("fifo")
open("fifo").read()
