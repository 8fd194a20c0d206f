#!/usr/bin/env bash
# What icl-mask does on an NVIDIA GPU, on the machine that has it; the binary is built elsewhere (bin/build-cuda.sh).
#   1. truth: each test program in ICL_MASK_TESTS (as `cargo test --features cuda --no-run` builds them), its tests of devices
#   2. a model of Llama-3.1-8B's shape, random bf16 weights: the baseline and TTF at all 32 layers, ITEMS sentences, 5
#      demonstrations, 50 tokens each, against two loops with transformers (tests/peers/bench_gpu.py)
#   3. StarCoder2-7B's and GPT-Neo-2.7B's shapes: loaded, and one masked cell
# Prints Markdown. Needs data/nations (bin/prepare-nations.sh) and 20 GB in WORK (/dev/shm, if not given).
#
#   bin/bench-gpu.sh [ITEMS] [OPTIONS of tests/peers/bench_gpu.py]
#
# PEERS_PYTHON names a Python with torch for CUDA, transformers and numpy (python3, if not given), whose CUDA libraries the binary
# uses too unless LD_LIBRARY_PATH is set. ICL_MASK_BIN names another binary.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
items=100
if [[ $# -gt 0 && $1 != --* ]]; then items=$1; shift; fi
binary=${ICL_MASK_BIN:-target/cuda/release/icl-mask}
python=${PEERS_PYTHON:-python3}
work=$(mktemp -d "${WORK:-/dev/shm}/icl-mask-gpu.XXXX")
trap 'rm -rf "$work"' EXIT
tokenizer=tests/goldens/tokenizers/smollm.tokenizer.json # Adds no BOS, which the loops do not know.
[ -x "$binary" ] || { say "error: there is no $binary: run bash bin/build-cuda.sh"; exit 2; }
[ -f data/nations/en-fr/dev.tsv ] || { say "error: there is no data/nations: run bash bin/prepare-nations.sh"; exit 2; }
if [ -z "${LD_LIBRARY_PATH:-}" ]; then
  LD_LIBRARY_PATH=$("$python" -c 'import glob, os, nvidia; print(":".join(glob.glob(os.path.join(nvidia.__path__[0], "*", "lib"))))')
  export LD_LIBRARY_PATH
fi

for program in ${ICL_MASK_TESTS:-}; do
  say "$program"
  ICL_MASK_TEST_DEVICE=cuda "$program" device --nocapture
done

model() { # model SHAPE
  rm -rf "$work/model"
  "$python" tests/peers/synthetic.py "$work/model" "$tokenizer" --shape "$1" >&2
}

model llama-3.1-8b
"$python" tests/peers/bench_gpu.py "$work/model" --binary "$binary" --items "$items" "$@"
for shape in starcoder2-7b gpt-neo-2.7b; do
  model "$shape"
  echo
  echo "$shape:"
  begun=$SECONDS
  "$binary" run --model "$work/model" --data nations --direction en-fr --nprompts 5 --limit 8 --mask TTF --from-layer 14 \
    --device cuda --dtype bf16 --no-stop --results "$work/results-$shape" 2>&1 | grep 'generations:'
  echo "$((SECONDS - begun)) s with loading"
done
