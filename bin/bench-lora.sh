#!/usr/bin/env bash
# Times `icl-mask lora` against a loop over layers with PEFT and transformers: one adapter a layer trained on the study's
# number of pairs, and tested. Two layers are measured and all of them extrapolated. Prints Markdown.
#
#   bin/bench-lora.sh [MODEL] [OPTIONS of tests/peers/bench_lora.py, such as --layers 8,22 --train-size 64 --epochs 1]
#
# The loop is tuned as far as it goes; with --plain it is the one that is mostly written.
# Progress goes to stderr, all raw numbers to target/bench/lora-MODEL.json (lora-MODEL-plain.json). Run it on a machine that does nothing else; the
# defaults take half an hour to an hour for smollm2-135m on two cores. Exit code: 0 losses and outputs agree, 1 they do not,
# 2 no verdict possible. ICL_MASK_BIN and PEERS_PYTHON as in bin/parity-lora.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

model=smollm2-135m
if [[ $# -gt 0 && $1 != --* ]]; then model=$1; shift; fi
mkdir -p target/bench
need_adapters bench "$model" || exit 2
exec "$python" tests/peers/bench_lora.py --model "$model" --binary "${ICL_MASK_BIN:-target/release/icl-mask}" "$@"
