#!/usr/bin/env bash
# Times one run of a whole sweep against two loops over layers with Hugging Face transformers (one as the study does it,
# one tuned), against llama.cpp on the baseline, and against what matrix products cost on the machine. All compute in
# float32 on the same prompts, the rounds are interleaved, the greedy tokens compared. Prints Markdown.
#
#   bin/bench-peers.sh [MODEL] [ITEMS] [OPTIONS of tests/peers/bench.py, such as --rounds 1 --layers 0,15 --skip llama]
#
# Progress goes to stderr, all raw numbers to target/bench/MODEL.json. Run it on a machine that does nothing else; the
# defaults take half an hour to an hour for smollm2-135m on two cores. Exit code: 0 outputs agree, 1 they do not.
# ICL_MASK_BIN names a binary that is there already; else it is built. PEERS_PYTHON as in bin/parity.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh

model=smollm2-135m items=8
if [[ $# -gt 0 && $1 != --* ]]; then model=$1; shift; fi
if [[ $# -gt 0 && $1 != --* ]]; then items=$1; shift; fi
work=target/bench
mkdir -p "$work"
if [ ! -f "models/$model.gguf" ]; then
  say "bench: there is no models/$model.gguf: run bash bin/prepare-models.sh $model"
  exit 2
fi

# llama.cpp is compiled for this machine, once; cmake and ninja come with it.
need_llama() {
  local wanted=tests/peers/requirements-bench.txt installed=$work/venv/installed.txt
  llama_python=$work/venv/bin/python
  cmp -s "$wanted" "$installed" && return
  need g++ g++
  say "compiling llama.cpp for this machine (a few minutes)"
  python3 -m venv "$work/venv" >&2
  CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" "$llama_python" -m pip install --quiet \
    --no-binary llama-cpp-python --requirement "$wanted" >&2
  cp "$wanted" "$installed"
}

need_peers || exit 2
case " $* " in
  *"--skip "*llama*) llama_python=none ;;
  *) need_llama ;;
esac
need_rust
[ -n "${ICL_MASK_BIN:-}" ] || cargo build --release --locked --quiet --bin icl-mask >&2
matmul=$work/matmul.txt
say "matrix products of the engine"
cargo bench --locked --quiet --bench matmul >"$matmul"
exec "$python" tests/peers/bench.py --model "$model" --items "$items" --llama-python "$llama_python" \
  --binary "${ICL_MASK_BIN:-target/release/icl-mask}" --matmul "$matmul" "$@"
