#!/usr/bin/env bash
# Times one sweep that weighs options (baseline, TTF and FTF from every layer on) against two loops with Hugging Face
# transformers, one as people write it and one tuned. All compute in float32 with the same number of threads. Prints Markdown.
#
#   bin/bench-choices.sh [MODEL] [ITEMS] [OPTIONS of tests/peers/bench_choices.py, such as --rounds 3 --sample 5x8]
#
# Needs the task of `bin/prepare-tasks.sh reviews`. Run it on a machine that does nothing else. Progress goes to stderr, all
# raw numbers to target/bench/choices-MODEL.json. Exit code: 0 all choose the same options, 1 they do not, 2 no verdict.
# ICL_MASK_BIN names a binary that is there already; else it is built. PEERS_PYTHON as in bin/parity.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

model=smollm2-135m items=64
if [[ $# -gt 0 && $1 != --* ]]; then model=$1; shift; fi
if [[ $# -gt 0 && $1 != --* ]]; then items=$1; shift; fi
if [ ! -f "models/$model.gguf" ]; then
  say "bench: there is no models/$model.gguf: run bash bin/prepare-models.sh $model"
  exit 2
fi
if [ ! -f data/tasks/reviews/test.jsonl ]; then
  say "bench: there is no data/tasks/reviews/test.jsonl: run bash bin/prepare-tasks.sh reviews"
  exit 2
fi
need_choices || exit 2
if [ -z "${ICL_MASK_BIN:-}" ]; then
  need_rust
  cargo build --release --locked --quiet --bin icl-mask >&2 || exit 2
fi
exec "$python" tests/peers/bench_choices.py --model "$model" --items "$items" \
  --binary "${ICL_MASK_BIN:-target/release/icl-mask}" --json "target/bench/choices-$model.json" "$@"
