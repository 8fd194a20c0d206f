#!/usr/bin/env python3
"""Are the generations of two runs the same, token for token, and their scores?

    compare_runs.py FOLDER OTHER_FOLDER

Each folder is that of one run, with manifest.json; say of one model on the CPU and on a GPU. Cells that only one of them has are
counted and left out. Prints what differs. Exit code: 0 nothing, 1 something, 2 nothing to compare.
"""

import json
import sys
from pathlib import Path

SCORES = ("bleu", "chrf", "pass@1")


def generations(path):
    with open(path, encoding="utf-8") as file:
        return {(row["id"], row.get("sample", 0)): row["tokens"] for row in map(json.loads, file)}


def main():
    folder, other = map(Path, sys.argv[1:])
    cells = [path.relative_to(folder) for path in sorted(folder.rglob("*.json")) if path.with_suffix(".jsonl").exists()]
    cells = [cell for cell in cells if cell.name != "items.json"]
    common = [cell for cell in cells if (other / cell).exists()]
    if not common:
        print(f"no cell is in both {folder} and {other}", file=sys.stderr)
        sys.exit(2)
    same, count, wrong = 0, 0, []
    for cell in common:
        ours, theirs = (generations((where / cell).with_suffix(".jsonl")) for where in (folder, other))
        for item in sorted(ours.keys() | theirs.keys()):
            count += 1
            if ours.get(item) == theirs.get(item):
                same += 1
                continue
            pairs = zip(ours.get(item, []), theirs.get(item, []))
            wrong.append(f"{cell} {item}: {next((i for i, (a, b) in enumerate(pairs) if a != b), 'length')}")
        scores = [{name: json.loads((where / cell).read_text()).get(name) for name in SCORES} for where in (folder, other)]
        if scores[0] != scores[1] or not any(value is not None for value in scores[0].values()):
            wrong.append(f"{cell}: {scores[0]} and {scores[1]}")
    print(f"{len(common)} of {len(cells)} cells compared: {same} of {count} generations the same")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
