#!/usr/bin/env bash
# Compares the statistics of curves (scores, intervals, tests, recognised layers) with Python's, from results' files.
#
#   bin/parity-stats.sh [OPTIONS of tests/peers/stats.py, such as --metric chrf or --layers 8] RESULTS...
#
# RESULTS is what `icl-mask figure masks RESULTS...` takes: folders of runs, or ones above several. All runs are read
# together, so that runs that differ by their seed alone make one curve; name the folder of one run to have its seed by
# itself, which is what sacreBLEU's paired tests need. What is compared is in tests/peers/stats.py.
# The tables go to stdout, progress to stderr. A curve of 30 layers and 20 items takes a minute at most, hundreds of
# items take some minutes: --layers N spreads what draws anew over N layers only, the rest is compared for all.
# Exit code: 0 all agree, 1 something does not, 2 no verdict possible.
# The packages go into .venv. ICL_MASK_BIN names a binary that is there already; else it is built.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/bin/needs.sh"
venv=$root/.venv
wanted=$root/tests/peers/requirements-stats.txt

need_packages "$venv" "$wanted" stats-installed.txt || exit 2
if [ -z "${ICL_MASK_BIN:-}" ]; then
  need_rust
  (cd "$root" && cargo build --release --locked --quiet --bin icl-mask) >&2 || exit 2
fi
exec "$venv/bin/python" "$root/tests/peers/stats.py" \
  --binary "${ICL_MASK_BIN:-$root/target/release/icl-mask}" "$@"
