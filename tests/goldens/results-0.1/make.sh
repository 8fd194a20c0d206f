#!/usr/bin/env bash
# Makes the results of version 0.1 that lie beside this script, for tests/results_of_0_1.rs.
#
#   git worktree add /tmp/old 58bb4d0 && (cd /tmp/old && cargo build --release --locked)
#   ICL_MASK_MODEL_TO=/tmp/tiny cargo test --locked --test results_of_0_1 -- --ignored the_model_is_written
#   bash tests/goldens/results-0.1/make.sh /tmp/old/target/release/icl-mask /tmp/tiny
#
# The program was built from commit 58bb4d0, the last before the results folder changed, with Rust 1.95.0 and its Cargo.lock, and
# ran on x86-64 Linux with Python 3 for the programs. The model is the one of tests/tiny (random weights by the names of the
# tensors, tokenizer `smollm` of tests/goldens/tokenizers), with `tokenizer_config.json` beside it. input/ holds the corpora: the
# targets of test.tsv begin with a word of what the model answers, so that not all scores are 0 (`make.sh BINARY MODEL targets` has put
# it there).
# Nothing here is to be made anew when the program changes: the test is that these files stay readable.
set -euo pipefail
binary=$(realpath "$1")
model=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp -r "$here"/input/* .
cp -r "$model" tiny
icl-mask() { HF_HUB_OFFLINE=1 "$binary" "$@"; }
text=(--model tiny --direction en-fr --max-new-tokens 12 --threads 1)
masks=(run "${text[@]}" --test test.tsv --demonstrations demonstrations.tsv --format instr_machine_translation --nprompts 3)
if [ "${3-}" = targets ]; then
  # How the targets of input/test.tsv came about.
  icl-mask "${masks[@]}" --mask none --results draft
  python3 - draft/tiny/*/*/none/baseline.jsonl "$here/input/test.tsv" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
rows = [row.rstrip("\n").split("\t") for row in open(sys.argv[2], encoding="utf-8")]
for row, line in zip(rows[1:], lines):
    row[2] = line["text"].split()[0].replace("\ufffd", "") + " " + row[2]
open(sys.argv[2], "w", encoding="utf-8").write("".join("\t".join(row) + "\n" for row in rows))
PY
  cp "$here/input/test.tsv" .
fi
icl-mask "${masks[@]}" --mask none,TTF,all --from-layer 1,3 --seed 0,1 --limit 4
icl-mask "${masks[@]}" --mask none --ablate-attention 1,2 --seed 0 --limit 4
icl-mask run --model tiny --task code --test problems.jsonl --nprompts 2 --max-new-tokens 6 --threads 1 --format code_functions \
  --mask none,TTF --from-layer 2 --limit 3
icl-mask lora "${text[@]}" --data pairs.yaml --layers 1 --train-size 6 --dev-size 2 --train-batch 2 --epochs 1 --rank 2 \
  --learning-rate 0.01 --limit 4
for kind in masks ablation lora; do icl-mask figure "$kind" results; done
icl-mask export results/tiny/test.en-fr --layout sia2024 --out study
rm -rf "$here/results" "$here/figures" "$here/study"
cp -r results study "$here"
mkdir "$here/figures"
cp figures/*.csv "$here/figures"
if grep -rn -e "$work" -e "$HOME" "$here/results" "$here/figures" "$here/study"; then
  echo "a file names a folder of this machine" >&2
  exit 1
fi
