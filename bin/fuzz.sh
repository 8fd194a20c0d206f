#!/usr/bin/env bash
# Feeds whatever is read from outside with broken input (fuzz/targets): GGUF files and their parts, model folders and adapters,
# tokenizers, chat templates, YAML, corpora, what `score` is given, results. All of it must be understood, or refused in a sentence
# as wrong input. A panic, an abort, half a minute without an answer, an allocation of what a file merely claims to hold, or an
# error that would not exit with 2 is a crash: it ends its target, and the input is left in fuzz/artifacts/TARGET.
# EXECUTIONS (ten million, if not given) are shared out to the targets, in rounds of a million. Inputs that reached something new
# stay in fuzz/corpus, and the next call begins with them. Installs Rust, a C++ compiler and cargo-fuzz where they are missing.
#
#   bash bin/fuzz.sh [EXECUTIONS]
#
#   TARGETS="gguf yaml"  some of the targets
#   JOBS=1               how many at a time; as many as there are cores, if not given
#   LOG=FILE             a line is added for each target of each round: time, commit, target, executions, seconds, crashes. What the
#                        file holds already counts, so that the same call goes on where it was broken off.
#
# The executions so far:  awk '{ n[$3] += $4 } END { for (target in n) print target, n[target] }' FILE
# An input once more:     TMPDIR=/dev/shm fuzz/target/*/release/TARGET FILE
# Its smallest form:      cargo fuzz tmin --sanitizer none TARGET FILE
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
declare -A share=([gguf]=12 [folder]=8 [tokenizer]=12 [chat]=14 [yaml]=18 [corpus]=18 [score]=16 [results]=2)
read -ra targets <<<"${TARGETS:-gguf folder tokenizer chat yaml corpus score results}"
of=0
for target in "${targets[@]}"; do of=$((of + share[$target])); done

python3 fuzz/seeds.py
# What is tested is what is released.
cp Cargo.lock fuzz/Cargo.lock
# No sanitizer, as the code is safe but for some lines that tests cover; so that the stable compiler will do.
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
cargo fuzz build --sanitizer none >&2

folder=$PWD/fuzz
binaries=$folder/target/$(rustc -vV | sed -n 's/^host: //p')/release
memory=${TMPDIR:-/tmp}
[ -w /dev/shm ] && memory=/dev/shm
work=$(mktemp -d "$memory/icl-mask-fuzz.XXXXXX")
trap 'kill $(jobs -rp) 2>/dev/null || true; rm -rf "$work"' EXIT
# Every input is a file for a moment. Nothing is fetched, whatever a model is called.
log=${LOG:-$work/log.tsv}
touch "$log"
log=$(realpath "$log")
export TMPDIR=$work HF_HUB_OFFLINE=1 HF_HOME=$work/hub RUST_BACKTRACE=0

note() { # note TARGET EXECUTIONS SECONDS CRASHES
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$(date -u +%FT%TZ)" "$commit" "$@" >>"$log"
}

reached() { # reached TARGET
  awk -F '\t' -v target="$1" '$3 == target { n += $4 } END { printf "%d", n }' "$log"
}

fuzz() { # fuzz TARGET EXECUTIONS
  local target=$1 wanted=$2 begun=$SECONDS total=0 crash='' executed said
  local out=$work/$target.out found=$folder/artifacts/$target
  mkdir -p "$folder/corpus/$target" "$found" "$work/$target"
  # One process after another: one that has lost much memory to calls without an end ends early (fuzz/targets/common.rs).
  while [ "$total" -lt "$wanted" ] && [ -z "$crash" ]; do
    # The process runs in its own empty folder, so that a name in an input never opens a file of this repository.
    if ! (cd "$work/$target" && exec "$binaries/$target" -runs=$((wanted - total)) -max_len=16384 -timeout=30 -rss_limit_mb=4096 \
      -close_fd_mask=3 -print_final_stats=1 -dict="$folder/seeds/$target.dict" -artifact_prefix="$found/" \
      "$folder/corpus/$target" "$folder/seeds/$target") >"$out" 2>&1; then
      crash=$(sed -n "s|.*Test unit written to $found/||p" "$out" | tail -n 1)
      crash=${crash:-unknown, see below}
    fi
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out")
    [ "${executed:-0}" -gt 0 ] || crash=${crash:-nothing executed}
    total=$((total + ${executed:-0}))
  done
  [ -z "$crash" ] || touch "$work/crashed" "$work/$target.crashed"
  note "$target" "$total" "$((SECONDS - begun))" "$([ -z "$crash" ] && echo 0 || echo 1)"
  echo "$target: $total executions, $((SECONDS - begun)) s, ${crash:+1 crash: }${crash:-0 crashes}"
  if [ -n "$crash" ]; then
    said=$([ ! -f "$found/$crash" ] || (cd "$work/$target" && timeout 60 "$binaries/$target" "$found/$crash" 2>&1 || true))
    { grep -E -A 2 'panicked|an allocation of|timeout|overflowed|out-of-memory|unsafe precondition' <<<"$said" || tail -n 20 "$out"; } | head -n 8 >&2
  fi
}

round=1000000
more=1
while [ "$more" -gt 0 ]; do
  more=0
  for target in "${targets[@]}"; do
    left=$((executions * share[$target] / of - $(reached "$target")))
    part=$((round * share[$target] / of))
    if [ "$left" -le 0 ] || [ -e "$work/$target.crashed" ]; then continue; fi
    more=$((more + 1))
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n || true; done
    fuzz "$target" $((left < part ? left : part)) &
  done
  wait
done
[ ! -e "$work/crashed" ]
