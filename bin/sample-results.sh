#!/usr/bin/env bash
# Makes the results in notebooks/sample/results that the notebooks and some tests read: a real run on a dozen sentences of
# our own (notebooks/sample/*.tsv), small enough to be committed. Some minutes on two cores.
#   masks       none, TTF, FTF, FFT, TTT, and FTF without instructions, at all layers; seeds 0 and 1
#   ablation    the attention of every third layer taken out; 5 examples with and without instructions, none without
#   savings     TTF at a few layers, each generation computed by itself
#   lora        an adapter of every third layer, trained on the ten demonstrations; the rate is high, so that ten do something
# Usage: bash bin/sample-results.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
bin=${ICL_MASK_BIN:-target/release/icl-mask}
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked
bash bin/prepare-models.sh qwen2.5-coder-0.5b
common=(--model qwen2.5-coder-0.5b --test notebooks/sample/phrases.tsv --demonstrations notebooks/sample/phrases-demonstrations.tsv
  --direction en-fr --limit 6 --max-new-tokens 16 --results notebooks/sample/results)
set -x
"$bin" run "${common[@]}" --mask none,TTF,FTF,FFT,TTT --from-layer all --seed 0,1
"$bin" run "${common[@]}" --mask none,FTF --from-layer all --seed 0,1 --format qa_lines_none
"$bin" run "${common[@]}" --ablate-attention 0,3,6,9,12,15,18,21,23 --format qa_lines
"$bin" run "${common[@]}" --ablate-attention 0,3,6,9,12,15,18,21,23 --format qa_lines_none --nprompts 0,5
"$bin" run "${common[@]}" --mask none,TTF --from-layer 8,16,18,20,22 --drop-context
"$bin" lora --model qwen2.5-coder-0.5b --data notebooks/sample/phrases.yaml --direction en-fr --limit 6 --max-new-tokens 16 \
  --layers 0,3,6,9,12,15,18,21,23 --train-size 10 --dev-size 0 --train-batch 5 --epochs 12 --rank 2 --alpha 8 \
  --learning-rate 0.004 --results notebooks/sample/results
