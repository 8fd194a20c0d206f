#!/usr/bin/env bash
# How much memory a run takes whose weights stay as stored: a model with the shape of Llama-3.1-8B and random weights
# (15 GiB of disk in models/synthetic-8b, removed at the end), one short masked sweep. Prints stored size and peak.
# Needs Python with numpy: PEERS_PYTHON names an interpreter that has it.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
need /usr/bin/time time
folder=models/synthetic-8b
work=$(mktemp -d)
trap 'rm -rf "$work" "$folder"' EXIT

"${PEERS_PYTHON:-python3}" tests/peers/synthetic.py "$folder" tests/goldens/tokenizers/llama-bpe.tokenizer.json >&2
cargo build --release --locked --bin icl-mask
printf 'source\ttarget\nthe cat sees a dog.\tle chat voit un chien.\nthe sun is old.\tle soleil est vieux.\n' >"$work/pairs.tsv"
target/release/icl-mask models "$folder" >&2
/usr/bin/time -f '%M %e' -o "$work/time" target/release/icl-mask run --model "$folder" --dtype stored \
  --test "$work/pairs.tsv" --demonstrations "$work/pairs.tsv" --direction en-fr --nprompts 2 --limit 1 \
  --mask TTF --from-layer 8,16,24 --max-new-tokens 4 --results "$work/results" >&2
stored=$(stat -c %s "$folder/model.safetensors")
read -r peak seconds <"$work/time"
awk -v stored="$stored" -v peak="$peak" -v seconds="$seconds" 'BEGIN {
  printf "stored %.2f GiB, peak %.2f GiB, more than stored %.2f GiB, %s s\n",
    stored / 2^30, peak / 2^20, peak / 2^20 - stored / 2^30, seconds }'
