#!/usr/bin/env bash
# Compares masks of rules with Hugging Face transformers, whose layers get a mask of rows times columns, and prints a table for
# docs/parity.md.
#
#   bin/parity-masks.sh [MODEL ...] > docs/parity-masks.md     smollm2-135m, if not given
#
# Needs `bin/prepare-tasks.sh reviews`. PARITY_ITEMS is the number of items (20, if not given). Each of six masks is computed from three
# layers on. Exit code: 0 all criteria hold, 1 one is missed, 2 no verdict possible. ICL_MASK_BIN names a binary that is there already;
# else cargo makes one. PEERS_PYTHON as in bin/parity.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

models=("$@")
[ $# != 0 ] || models=(smollm2-135m)
for file in data/tasks/reviews/test.jsonl "${models[@]/#/models/}"; do
  [ -f "$file" ] || [ -f "$file.gguf" ] || { say "parity: there is no $file: run bin/prepare-models.sh and bin/prepare-tasks.sh"; exit 2; }
done
need_peers || exit 2
if [ -n "${ICL_MASK_BIN:-}" ]; then
  program=("$ICL_MASK_BIN")
else
  need_rust
  program=(cargo run --release --locked --quiet --)
fi

work=target/parity/masks
items=${PARITY_ITEMS:-20}
verdict=0
for model in "${models[@]}"; do
  rm -rf "${work:?}/$model"
  mkdir -p "$work"
  shape=$("${program[@]}" models "models/$model.gguf" --json) || exit 2
  layers=$("$python" -c 'import json, sys; n = json.load(sys.stdin)["layers"]; print(0, n // 2, n - 2, sep=",")' <<<"$shape")
  weigh() {
    "${program[@]}" run --model "$model" --task reviews --limit "$items" --from-layer "$layers" --results "$work/$model" "$@" >&2 || exit 2
  }
  weigh --mask none
  weigh --hide examples.outputs
  weigh --hide examples.delimiters --readers choosing
  weigh --hide 'examples,-examples[0]' --window 4
  weigh --mask TTF --readers last
  weigh --hide examples.inputs --readers query --window 1
  weigh --mask FTF --steps 0..
  code=0
  "$python" tests/peers/masks.py --model "models/$model.gguf" --items "$items" "$work/$model" || code=$?
  [ "$code" -le "$verdict" ] || verdict=$code
done
exit "$verdict"
