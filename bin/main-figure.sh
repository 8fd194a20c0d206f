#!/usr/bin/env bash
# The study's main figure for two small real models, from nothing: SmolLM2-135M and Qwen2.5-Coder-0.5B, English to French
# and back, five treatments at every layer, two seeds.
#   1. tools, models and text as in bin/quickstart.sh
#   2. TTF, FTF, FFT, TTT and the baseline, and FTF without instructions: SENTENCES sentences, seeds 0 and 1
#   3. figures/main/masks.svg, .png, .csv, with the task-recognition layers printed
# Hours on two cores: 100 sentences are 109,600 generations. It can be stopped and run again: it goes on with the item that
# is missing.
# Usage: bash bin/main-figure.sh [SENTENCES]      (100, if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
sentences=${1:-100}
bin=${ICL_MASK_BIN:-target/release/icl-mask}

need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
need_rust
bash bin/prepare-models.sh
[ -f data/nations/en-fr/devtest.tsv ] && say "data/nations is here already" || bash bin/prepare-nations.sh
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked
results=results/main-$sentences
common=(--model smollm2-135m,qwen2.5-coder-0.5b --data nations --direction en-fr,fr-en --from-layer all --seed 0,1
  --limit "$sentences" --results "$results")
set -x
"$bin" run "${common[@]}" --mask none,TTF,FTF,FFT,TTT --format qa_lines
"$bin" run "${common[@]}" --mask none,FTF --format qa_lines_none
"$bin" figure masks "$results" --out figures/main
