#!/usr/bin/env bash
# The study's main figure for two small real models, from nothing: SmolLM2-135M and Qwen2.5-Coder-0.5B, English to French
# and back, five masks, two seeds.
#   1. tools, models and text as in bin/quickstart.sh
#   2. SENTENCES sentences, seeds 0 and 1: the baseline and TTF at every layer; FTF, FFT, TTT, and FTF without instructions
#      at every layer of SmolLM2, and of Qwen, which is four times its size, at layers 0, EVERY, twice EVERY and so on
#   3. figures/main/masks.svg, .png, .csv, with the task-recognition layers printed, and the time it all took
# Hours on two cores: 100 sentences are 60,800 generations of SmolLM2 and 29,600 of Qwen, or 48,800 with EVERY 1. It can
# be stopped and run again: it goes on with the item that is missing.
# With MODEL it draws that model alone, with seed 0: the baseline, TTF and FTF at layers 0, EVERY, twice EVERY and so on, in
# figures/main-MODEL. This is for the larger qwen2.5-coder-1.5b, of which 50 sentences at every layer are 5,700 generations.
# Usage: bash bin/main-figure.sh [SENTENCES [EVERY [MODEL]]]      (100 and 2, if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
sentences=${1:-100} every=${2:-2} model=${3:-}
bin=${ICL_MASK_BIN:-target/release/icl-mask}

need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
need_rust
bash bin/prepare-models.sh ${model:+"$model"}
[ -f data/nations/en-fr/devtest.tsv ] && say "data/nations is here already" || bash bin/prepare-nations.sh
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked
results=results/main-$sentences${model:+-$model} figures=figures/main${model:+-$model}
curves() { # curves MODEL LAYERS EVERY
  local some
  some=$(seq 0 "$3" $(($2 - 1)) | paste -sd, -)
  local common=(--model "$1" --data nations --direction en-fr,fr-en --seed 0,1 --limit "$sentences" --results "$results")
  set -x
  "$bin" run "${common[@]}" --mask none,TTF --from-layer all --format qa_lines
  "$bin" run "${common[@]}" --mask FTF,FFT,TTT --from-layer "$some" --format qa_lines
  "$bin" run "${common[@]}" --mask none,FTF --from-layer "$some" --format qa_lines_none
  { set +x; } 2>/dev/null
}
if [ -n "$model" ]; then
  layers=$("$bin" models "$model" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"])')
  set -x
  "$bin" run --model "$model" --data nations --direction en-fr,fr-en --seed 0 --limit "$sentences" --results "$results" \
    --mask none,TTF,FTF --from-layer "$(seq 0 "$every" $((layers - 1)) | paste -sd, -)" --format qa_lines
else
  curves smollm2-135m 30 1
  curves qwen2.5-coder-0.5b 24 "$every"
  set -x
fi
"$bin" figure masks "$results" --out "$figures"
{ set +x; } 2>/dev/null
# What the cells took, in however many calls they were computed.
python3 - "$results" <<'PYTHON'
import json, pathlib, sys
for model in sorted(path for path in pathlib.Path(sys.argv[1]).iterdir() if path.is_dir()):
    cells = [json.loads(path.read_text()) for path in model.glob("*/*/*/*.json")]
    generations, minutes = sum(cell["n"] for cell in cells), sum(cell["seconds"] for cell in cells) / 60
    print(f"{model.name}: {generations} generations in {minutes:.1f} minutes, {generations / minutes:.0f} a minute")
PYTHON
