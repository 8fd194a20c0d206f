#!/usr/bin/env bash
# Feeds whatever is read from outside with broken input: GGUF files, model folders and adapters, tokenizers, YAML, corpora,
# results (fuzz/targets). All of it must be understood, or refused in a sentence as wrong input. A panic, an abort, half a minute
# without an answer, an allocation of what a file merely claims to hold, or an error that would not exit with 2 is a crash: it
# ends its target, and the input is left in fuzz/artifacts/TARGET.
# EXECUTIONS (ten million, if not given) are shared out to the targets; half an hour on two cores. Inputs that reached something
# new stay in fuzz/corpus, and the next call begins with them. Installs Rust, a C++ compiler and cargo-fuzz where they are missing.
#
#   bash bin/fuzz.sh [EXECUTIONS]       (TARGETS="gguf yaml" for some of them)
#
# An input once more:  TMPDIR=/dev/shm fuzz/target/*/release/TARGET FILE
# Its smallest form:   cargo fuzz tmin --sanitizer none TARGET FILE
# Exit code: 0 no crash, 1 crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
executions=${1:-10000000}
need_rust
need c++ g++
need python3 python3
if ! command -v cargo-fuzz >/dev/null; then
  say "installing cargo-fuzz"
  cargo install --locked --quiet cargo-fuzz >&2
fi
# Percent of the executions, by how many a second there are.
declare -A share=([gguf]=15 [folder]=15 [tokenizer]=10 [yaml]=20 [corpus]=35 [results]=5)
read -ra targets <<<"${TARGETS:-gguf folder tokenizer yaml corpus results}"
of=0
for target in "${targets[@]}"; do of=$((of + share[$target])); done

python3 fuzz/seeds.py
# What is tested is what is released.
cp Cargo.lock fuzz/Cargo.lock
# No sanitizer, as the code is safe but for some lines that tests cover; so that the stable compiler will do.
cargo fuzz build --sanitizer none >&2

folder=$PWD/fuzz
binaries=$folder/target/$(rustc -vV | sed -n 's/^host: //p')/release
memory=${TMPDIR:-/tmp}
[ -w /dev/shm ] && memory=/dev/shm
work=$(mktemp -d "$memory/icl-mask-fuzz.XXXXXX")
trap 'kill $(jobs -rp) 2>/dev/null || true; rm -rf "$work"' EXIT
# Every input is a file for a moment. Nothing is fetched, whatever a model is called.
export TMPDIR=$work HF_HUB_OFFLINE=1 HF_HOME=$work/hub RUST_BACKTRACE=0

fuzz() { # fuzz TARGET EXECUTIONS
  local target=$1 begun=$SECONDS done crash said
  local log=$work/$target.log found=$folder/artifacts/$target
  mkdir -p "$folder/corpus/$target" "$found" "$work/$target"
  # In a folder of its own, so that names in inputs mean no files of this one.
  if (cd "$work/$target" && exec "$binaries/$target" -runs="$2" -max_len=16384 -timeout=30 -rss_limit_mb=4096 -close_fd_mask=3 \
    -print_final_stats=1 -dict="$folder/seeds/$target.dict" -artifact_prefix="$found/" "$folder/corpus/$target" \
    "$folder/seeds/$target") >"$log" 2>&1; then
    crash=
  else
    crash=$(sed -n "s|.*Test unit written to $found/||p" "$log" | tail -n 1)
    crash=${crash:-unknown, see below}
    touch "$work/crashed"
  fi
  done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "$target: ${done:-0} executions, $((SECONDS - begun)) s, ${crash:+1 crash: }${crash:-0 crashes}"
  if [ -n "$crash" ]; then
    said=$([ ! -f "$found/$crash" ] || (cd "$work/$target" && timeout 60 "$binaries/$target" "$found/$crash" 2>&1 || true))
    { grep -E -A 2 'panicked|an allocation of|timeout|overflowed|out-of-memory|unsafe precondition' <<<"$said" || tail -n 20 "$log"; } | head -n 8 >&2
  fi
}

for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  fuzz "$target" $((executions * share[$target] / of)) &
done
wait
[ ! -e "$work/crashed" ]
