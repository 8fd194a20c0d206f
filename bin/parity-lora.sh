#!/usr/bin/env bash
# Trains LoRA adapters with icl-mask and with PEFT and transformers on the same pairs, lets each side generate with the
# other's adapters, and prints the tables of docs/parity.md.
#
#   bin/parity-lora.sh [MODEL] [OPTIONS of tests/peers/lora.py, such as --layers 3,20] > docs/parity-lora.md
#
# MODEL is a name of models/*.gguf; without it, smollm2-135m, which takes some minutes on two cores. Needs the corpus of
# bin/prepare-nations.sh. Progress goes to stderr. Exit code: 0 all criteria hold, 1 one is missed, 2 no verdict possible.
# ICL_MASK_BIN names a binary that is there already; else it is built. PEERS_PYTHON names an interpreter that has
# tests/peers/requirements-lora.txt already; else `.venv` gets it.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

model=smollm2-135m
if [[ $# -gt 0 && $1 != --* ]]; then model=$1; shift; fi
need_adapters parity "$model" || exit 2
exec "$python" tests/peers/lora.py --model "$model" --binary "${ICL_MASK_BIN:-target/release/icl-mask}" "$@"
