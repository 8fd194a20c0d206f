"""Do two results folders hold the same? same.py REFERENCE OTHER

Every file must be there in both and be the same, byte for byte, but for what says how it was computed and not what came out:
times, and in manifest.json the command line, threads, memory and the folder. Exit code 1 where they differ.
"""

import json
import sys
from pathlib import Path

HOW = {"seconds", "git"}
HOW_OF_A_RUN = HOW | {"command", "threads"}
HOW_TYPED = {"threads", "memory", "results"}


def without(record, keys):
    return {key: value for key, value in record.items() if key not in keys}


def content(path):
    if path.suffix != ".json":
        return path.read_bytes()
    record = json.loads(path.read_text(encoding="utf-8"))
    if path.name != "manifest.json":
        return without(record, HOW)
    record = without(record, HOW_OF_A_RUN)
    record["typed"] = without(record["typed"], HOW_TYPED)
    return record


def files(folder):
    """All of them, but for the scripts and logs of jobs."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if name.parts[0] != "slurm"}


def main(reference, other):
    ours, theirs = files(Path(reference)), files(Path(other))
    wrong = [f"{name} is missing" for name in sorted(ours.keys() - theirs.keys())]
    wrong += [f"{name} should not be there" for name in sorted(theirs.keys() - ours.keys())]
    wrong += [f"{name} differs" for name in sorted(ours.keys() & theirs.keys()) if content(ours[name]) != content(theirs[name])]
    if not ours:
        wrong.append(f"{reference} holds nothing")
    for sentence in wrong:
        print(f"{other}: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
