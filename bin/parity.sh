#!/usr/bin/env bash
# Compares icl-mask with Hugging Face transformers on GGUF models and prints the tables of docs/parity.md.
#
#   bin/parity.sh [MODEL.gguf ...] > docs/parity-tables.md
#
# Needs the corpus of bin/prepare-nations.sh. Without MODEL it compares the two models of bin/prepare-models.sh, and
# qwen2.5-coder-1.5b as well where it was fetched: as float32 that one needs 8 GiB here and then 9 GiB in Python.
# PARITY_ITEMS is the number of sentences in each direction (3, if not given).
# Progress and full reports go to stderr. Exit code: 0 all criteria hold, 1 one is missed, 2 no verdict possible.
# PEERS_PYTHON names an interpreter that has tests/peers/requirements.txt already; else `.venv` gets it. ICL_MASK_BIN names
# a release build, which has its examples beside it; else cargo makes one.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

models=("$@")
if [ $# = 0 ]; then
  models=(models/smollm2-135m.gguf models/qwen2.5-coder-0.5b.gguf)
  [ ! -f models/qwen2.5-coder-1.5b.gguf ] || models+=(models/qwen2.5-coder-1.5b.gguf)
fi
for model in "${models[@]}"; do
  [ -f "$model" ] || { echo "parity: there is no $model" >&2; exit 2; }
done

need_peers || exit 2

if [ -n "${ICL_MASK_BIN:-}" ]; then
  program=("$ICL_MASK_BIN") dump=("$(dirname "$ICL_MASK_BIN")/examples/reference_dump")
else
  program=(cargo run --release --quiet --) dump=(cargo run --release --quiet --example reference_dump --)
fi

work=target/parity
mkdir -p "$work"
verdict=0
for model in "${models[@]}"; do
  name=$(basename "$model" .gguf)
  rm -f "$work/$name".{jsonl,f32,md}
  shape=$("${program[@]}" models "$model" --json) || exit 2
  layers=$("$python" -c 'import json, sys; n = json.load(sys.stdin)["layers"]; print(0, n // 2, n - 1, sep=",")' <<<"$shape")
  # By default 3 items x 2 directions x 2 profiles x (6 masks x 3 layers + baseline) = 228 generations
  "${dump[@]}" --model "$model" --data nations --direction en-fr,fr-en --format qa_lines \
    --limit "${PARITY_ITEMS:-3}" --profile exact,sia2024 --mask none,all,TTF,FTF,FFT,TFF,TTT --from-layer "$layers" \
    --dump "$work/$name.jsonl" --logits "$work/$name.f32" >&2 || exit 2
  code=0
  "$python" tests/peers/parity.py --model "$model" --dump "$work/$name.jsonl" --logits "$work/$name.f32" \
    --markdown "$work/$name.md" >&2 || code=$?
  [ "$code" -le "$verdict" ] || verdict=$code
  [ ! -f "$work/$name.md" ] || cat "$work/$name.md"
done
exit "$verdict"
