# verdict: killed
# Becomes a fresh interpreter that would write its own answers.
import os
import sys

os.execve(sys.executable, ["python3", "-c", "import os; os.write(4, b'passed')"], {})
