#!/usr/bin/env bash
# Are HumanEval's own solutions judged right, and broken ones wrong, whatever else the machine does? ROUNDS times, each with
# as many busy loops beside it as LOAD says: all 164 reference solutions must pass, and all 164 must fail with the body
# replaced by `pass` or by a constant.
#
#   bin/check-sandbox.sh            (ROUNDS=3 LOAD=4; needs data/human-eval: bin/prepare-humaneval.sh)
#
# ICL_MASK_BIN names a binary that is there already; else it is built. Exit code: 0 all as it should be, 1 not.
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
rounds=${ROUNDS:-3} load=${LOAD:-4}
need python3 python3
bash bin/prepare-humaneval.sh >&2
if [ -z "${ICL_MASK_BIN:-}" ]; then
  need_rust
  cargo build --release --locked --quiet --bin icl-mask >&2
fi
binary=${ICL_MASK_BIN:-target/release/icl-mask}
work=$(mktemp -d)
busy=()
trap 'kill "${busy[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

python3 - "$work" <<'PYTHON'
import gzip, json, sys

with gzip.open("data/human-eval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
    problems = [json.loads(line) for line in file]
bodies = {"reference": lambda p: p["canonical_solution"], "pass": lambda p: "    pass\n", "constant": lambda p: "    return 1234567\n"}
for name, body in bodies.items():
    with open(f"{sys.argv[1]}/{name}.jsonl", "w", encoding="utf-8") as out:
        for problem in problems:
            out.write(json.dumps({"task_id": problem["task_id"], "completion": body(problem)}) + "\n")
PYTHON

for _ in $(seq "$load"); do
  (while :; do :; done) &
  busy+=($!)
done
wrong=0
for round in $(seq "$rounds"); do
  for kind in reference pass constant; do
    begun=$(date +%s.%N)
    "$binary" score --task code --hyp "$work/$kind.jsonl" --json >"$work/score.json" 2>"$work/said"
    seconds=$(python3 -c "import sys, time; print(f'{time.time() - float(sys.argv[1]):.1f}')" "$begun")
    passed=$(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['outcomes'].get('passed', 0))" "$work/score.json")
    echo "round $round, $load busy loops: $kind: $passed of 164 pass ($seconds s)"
    [ "$kind" = reference ] && expected=164 || expected=0
    [ "$passed" = "$expected" ] || wrong=1
  done
done
tail -n 2 "$work/said"
exit "$wrong"
