#!/usr/bin/env bash
# Compares the options that icl-mask weighs, and the measures made of them, with Hugging Face transformers and scikit-learn,
# and prints the tables of docs/parity.md.
#
#   bin/parity-choices.sh [MODEL ...] > docs/parity-choices.md     smollm2-135m and qwen2.5-coder-0.5b, if not given
#
# Needs `bin/prepare-tasks.sh reviews continents categories`. PARITY_ITEMS is the number of items of reviews and categories
# (150 and 60, if not given; of continents all). The tasks are weighed without a mask, and under TTF and FTF from two middle layers
# on; then follow items with options of their own that begin alike, and where the model has a chat template, 40 items in it.
# Progress goes to stderr. Exit code: 0 all criteria hold, 1 one is missed, 2 no verdict possible.
# ICL_MASK_BIN names a binary that is there already; else cargo makes one. PEERS_PYTHON as in bin/parity.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

models=("$@")
[ $# != 0 ] || models=(smollm2-135m qwen2.5-coder-0.5b)
for model in "${models[@]}"; do
  if [ ! -f "models/$model.gguf" ]; then
    say "parity: there is no models/$model.gguf: run bash bin/prepare-models.sh $model"
    exit 2
  fi
done
for task in reviews continents categories; do
  if [ ! -f "data/tasks/$task/test.jsonl" ]; then
    say "parity: there is no data/tasks/$task/test.jsonl: run bash bin/prepare-tasks.sh $task"
    exit 2
  fi
done
need_choices || exit 2
if [ -n "${ICL_MASK_BIN:-}" ]; then
  program=("$ICL_MASK_BIN")
else
  need_rust
  program=(cargo run --release --locked --quiet --)
fi

work=target/parity/choices
mkdir -p "$work"
own=tests/peers/choice_items
verdict=0
for model in "${models[@]}"; do
  rm -rf "${work:?}/$model"
  shape=$("${program[@]}" models "models/$model.gguf" --json) || exit 2
  layers=$("$python" -c 'import json, sys; n = json.load(sys.stdin)["layers"]; print(n // 3, n // 2, sep=",")' <<<"$shape")
  weigh() { # weigh TASK LIMIT MORE
    local task=$1 limit=$2
    shift 2
    "${program[@]}" run --model "$model" --task "$task" --limit "$limit" --mask none,TTF,FTF --from-layer "$layers" \
      --results "$work/$model" "$@" >&2 || exit 2
  }
  weigh reviews "${PARITY_ITEMS:-150}"
  weigh continents all
  weigh categories "${PARITY_ITEMS:-60}"
  weigh choice all --test "$own/items.jsonl" --demonstrations "$own/demonstrations.jsonl" --nprompts 3
  if "$python" -c 'import sys, gguf; sys.exit("tokenizer.chat_template" not in gguf.GGUFReader(sys.argv[1]).fields)' \
    "models/$model.gguf"; then
    weigh continents 40 --chat-template true
  fi
  code=0
  "$python" tests/peers/choices.py --model "models/$model.gguf" "$work/$model" || code=$?
  [ "$code" -le "$verdict" ] || verdict=$code
done
exit "$verdict"
