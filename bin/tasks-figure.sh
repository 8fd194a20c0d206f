#!/usr/bin/env bash
# Six tasks of one small real model in one figure: where each is recognised, by relative depth.
#   1. tools, the model and the tasks' data
#   2. ITEMS test items of each task: the baseline, and TTF at layers 0, EVERY, twice EVERY and so on
#   3. figures/tasks/masks-relative.svg, .png, .csv, with the task-recognition layers printed, and the time it all took
# reviews, continents and categories are choices (accuracy); capitals, plurals and words-en-fr are short answers (exact match).
# It can be stopped and run again: it goes on with the item that is missing.
# Usage: bash bin/tasks-figure.sh [ITEMS [EVERY [MODEL]]]      (100, 1 and qwen2.5-coder-0.5b, if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
items=${1:-100} every=${2:-1} model=${3:-qwen2.5-coder-0.5b}
bin=${ICL_MASK_BIN:-target/release/icl-mask}
tasks=(reviews continents categories capitals plurals words-en-fr)

need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
need_rust
bash bin/prepare-models.sh "$model"
bash bin/prepare-tasks.sh "${tasks[@]}"
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked
results=results/tasks-$items-$model
layers=$("$bin" models "$model" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"])')
some=$(seq 0 "$every" $((layers - 1)) | paste -sd, -)
for task in "${tasks[@]}"; do
  (set -x; "$bin" run --model "$model" --task "$task" --mask none,TTF --from-layer "$some" --limit "$items" --results "$results")
done
set -x
"$bin" figure masks "$results" --relative --out figures/tasks
"$bin" figure masks "$results" --out figures/tasks
{ set +x; } 2>/dev/null
# What the cells took, in however many calls they were computed.
python3 - "$results" <<'PYTHON'
import json, pathlib, sys
cells = [json.loads(path.read_text()) for path in pathlib.Path(sys.argv[1]).glob("*/*/*/*/*.json")]
print(f"{sum(cell['n'] for cell in cells)} answers in {sum(cell['seconds'] for cell in cells) / 60:.1f} minutes")
PYTHON
