# verdict: failed|killed
# Copies a program into a file that is only in memory, and runs it by its descriptor.
import os

fd = os.memfd_create("x", 0)
os.write(fd, b"#!/bin/sh\ntouch /tmp/icl-mask-attack-exec_memfd\n")
os.execve(fd, ["x"], {})
