#!/usr/bin/env bash
# Compares a thousand greedy tokens of every model family and checkpoint format with Hugging Face transformers, and prints
# the table of docs/parity.md. Random weights at real head sizes; nothing is downloaded but Python packages.
#
#   bin/parity-families.sh [FAMILY ...] > docs/parity-families.md
#
# Exit code: 0 all agree, 1 one does not, 2 no verdict possible.
# PEERS_PYTHON names an interpreter that has tests/peers/requirements.txt already; else `.venv` gets it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PEERS_PYTHON:-.venv/bin/python}
wanted=tests/peers/requirements.txt
installed=.venv/peers-installed.txt
# The copy is written last, so that an install that was broken off is done again.
if [ -z "${PEERS_PYTHON:-}" ] && ! cmp -s "$wanted" "$installed"; then
  python3 -m venv .venv >&2 || exit 2
  "$python" -m pip install --quiet --requirement "$wanted" >&2 || exit 2
  cp "$wanted" "$installed"
fi

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --example greedy || exit 2
exec "$python" tests/peers/families.py --greedy "$target/release/examples/greedy" "$@"
