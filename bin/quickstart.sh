#!/usr/bin/env bash
# From nothing to a first curve: a small real model, real text, every start layer.
#   1. what is needed to build (Rust, a C compiler) is installed where it is missing
#   2. Qwen2.5-Coder-0.5B-Instruct (491 MB) and the corpus `nations` (66 MB of Debian packages) are fetched and checked
#   3. icl-mask is built
#   4. the baseline and TTF at all 24 start layers run on a few sentences, and the curve is printed
#   5. its figure and a report are written: figures/quickstart/masks.svg and .png, figures/quickstart/report.html
# Can be run again: what is there is not fetched, built or computed twice.
# ICL_MASK_BIN names a binary that is there already: then none is built.
# Usage: bash bin/quickstart.sh [SENTENCES]      (10, if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
sentences=${1:-10}
bin=${ICL_MASK_BIN:-target/release/icl-mask}

say "== 1. tools"
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
need_rust
say "== 2. model and text"
bash bin/prepare-models.sh qwen2.5-coder-0.5b
[ -f data/nations/en-fr/devtest.tsv ] && say "data/nations is here already" || bash bin/prepare-nations.sh
say "== 3. build (some minutes the first time)"
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked
say "== 4. the curve: English to French, 5 demonstrations, instructions and examples hidden from each layer on"
set -x
"$bin" run --model qwen2.5-coder-0.5b --data nations --direction en-fr --mask none,TTF --from-layer all \
  --limit "$sentences" --results results/quickstart-"$sentences"
{ set +x; } 2>/dev/null
say "== 5. the figure, and a report to explore"
set -x
"$bin" figure masks results/quickstart-"$sentences" --out figures/quickstart
"$bin" report results/quickstart-"$sentences" --out figures/quickstart/report.html
{ set +x; } 2>/dev/null
say "== done"
if [ -n "${ICL_MASK_BIN:-}" ]; then
  say "made with $ICL_MASK_BIN"
elif command -v icl-mask >/dev/null; then
  say "icl-mask is on your PATH: $(command -v icl-mask)"
else
  say "icl-mask is at $PWD/target/release/icl-mask, which is not on your PATH. For this shell:"
  say "  export PATH=\"$PWD/target/release:\$PATH\""
  say "or, for all shells, install it (into ~/.cargo/bin by default): cargo install --locked --path ."
fi
