#!/usr/bin/env bash
# Puts MBPP's 974 problems at data/mbpp/mbpp.jsonl and checks them.
#
#     bin/prepare-mbpp.sh [FILE | URL]
#
# Without an argument the file is downloaded (about 0.6 MB) with curl or wget; nothing is installed. MBPP is under
# CC-BY 4.0. A second run finds the file, checks it and does nothing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$here/.." && pwd)/data
url=https://raw.githubusercontent.com/google-research/google-research/master/mbpp/mbpp.jsonl

die() {
    echo "prepare-mbpp: $*" >&2
    exit 1
}

# check FILE NAME ADVICE
# Which problems are test items and which demonstrations goes by their number: the lines must be all there and in order.
check() {
    python3 - "$1" <<'PYTHON' || die "$2 is not MBPP as expected; $3"
import json, sys

kinds = {"task_id": int, "text": str, "code": str, "test_list": list}
count = 0
try:
    with open(sys.argv[1], encoding="utf-8") as file:
        for count, line in enumerate(file, 1):
            problem = json.loads(line)
            for field, kind in kinds.items():
                if not isinstance(problem, dict) or not isinstance(problem.get(field), kind):
                    sys.exit(f"line {count} has no {field}, or one of another kind")
            if problem["task_id"] != count:
                sys.exit(f"line {count} has the task_id {problem['task_id']}")
            if not problem["test_list"] or not all(isinstance(test, str) for test in problem["test_list"]):
                sys.exit(f"line {count} has no tests, or some that are not text")
except json.JSONDecodeError as mistake:
    sys.exit(f"line {count} is not JSON: {mistake}")
except UnicodeDecodeError as mistake:
    sys.exit(f"not UTF-8 after line {count}: {mistake}")
if count != 974:
    sys.exit(f"{count} lines instead of 974")
print("  974 problems, each with " + ", ".join(kinds))
PYTHON
}

fetch() {
    echo "downloading $1"
    if command -v curl >/dev/null; then
        curl --fail --location --connect-timeout 20 --retry 3 --output "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --timeout 20 --tries 3 --output-document "$2" "$1"
    else
        die "curl or wget is needed; or fetch $1 yourself and run: $0 FILE"
    fi || die "the download failed; fetch $1 in another way and run: $0 FILE"
}

command -v python3 >/dev/null || die "python3 is needed (any 3.9 or later; on Debian: apt-get install python3)"

if [ -e "$data/mbpp/mbpp.jsonl" ]; then
    echo "data/mbpp/mbpp.jsonl is there; checking it (delete it to fetch it again)"
    check "$data/mbpp/mbpp.jsonl" data/mbpp/mbpp.jsonl "delete it and run this again"
    exit 0
fi

mkdir -p "$data"
# Inside data/, so that the checked file is moved into place in one step.
work=$(mktemp -d "$data/.mbpp.XXXXXX")
trap 'rm -rf "$work"' EXIT

from=${1:-$url}
if [ -f "$from" ]; then
    cp "$from" "$work/mbpp.jsonl"
else
    case $from in
        *://*) ;;
        *) die "there is no file $from" ;;
    esac
    fetch "$from" "$work/mbpp.jsonl"
fi
echo "sha256 $( (sha256sum "$work/mbpp.jsonl" 2>/dev/null || shasum -a 256 "$work/mbpp.jsonl") | cut -d ' ' -f 1)"
check "$work/mbpp.jsonl" "$from" "is it the right file, and all of it?"
mkdir -p "$data/mbpp"
mv "$work/mbpp.jsonl" "$data/mbpp/mbpp.jsonl"
echo "data/mbpp/mbpp.jsonl is ready"
