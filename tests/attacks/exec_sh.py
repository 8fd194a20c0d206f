# verdict: killed
# Becomes a shell.
import os

os.execv("/bin/sh", ["sh", "-c", "echo passed >&4; touch /tmp/icl-mask-attack-exec_sh"])
