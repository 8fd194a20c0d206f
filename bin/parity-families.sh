#!/usr/bin/env bash
# Compares a thousand greedy tokens of every model family and checkpoint format with Hugging Face transformers, and prints
# the table of docs/parity.md. Random weights at real head sizes; nothing is downloaded but Python packages.
#
#   bin/parity-families.sh [FAMILY ...] > docs/parity-families.md
#   bin/parity-families.sh --random 20 --tokens 200      twenty models of drawn sizes
#
# Exit code: 0 all agree, 1 one does not, 2 no verdict possible.
# PEERS_PYTHON names an interpreter that has tests/peers/requirements.txt already; else `.venv` gets it.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

need_peers || exit 2

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --example greedy || exit 2
exec "$python" tests/peers/families.py --greedy "$target/release/examples/greedy" "$@"
