#!/usr/bin/env python3
"""Run the commands of README.md as a reader would, and compare what they say with what README.md shows.

    readme.py [--folder FOLDER] [--from N] [--list]

bin/check-readme.sh says what the options mean. The commands are the lines of all ```sh blocks, and the lines of ```text blocks
that begin with `$ `. They run in one shell after the other, each with the variables that those before exported. Python 3.11,
standard library.
"""

import argparse
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from readme_files import hub, make_files, make_later_files, tiny_model

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900


@dataclass(frozen=True)
class Case:
    """What is different here for one command of README.md, and why."""

    command: str  # as README.md has it, without its comment
    reason: str
    instead: str = ""  # what runs in its place
    before: str = ""  # a command that README.md's prose has, or one that undoes what an earlier one did
    code: int = 0  # the exit code that is expected
    says: str = ""  # a part of what it must say
    hub: bool = False  # runs with HF_ENDPOINT at a hub on loopback, which has this one model
    builds: bool = False  # builds icl-mask, unless ICL_MASK_BIN names one
    seconds: int = SECONDS


HOURS = "takes hours"
MINUTES = "the 50 sentences take minutes"
CASES = [
    Case("bash bin/quickstart.sh", "may build for long", seconds=5400, builds=True, says="figures/quickstart/report.html"),
    Case("bash bin/test.sh", "CI runs it on every change", "bash -n bin/test.sh && cargo fmt --check"),
    Case(
        "target/release/icl-mask run --model qwen2.5-coder-0.5b --data nations --direction en-fr --mask none,TTF "
        "--from-layer all --limit 10 --results results/quickstart-10",
        "quickstart.sh has computed this already, and README.md shows a first run",
        before="rm -r results/quickstart-10",
    ),
    Case("icl-mask run --model EleutherAI/gpt-neo-125m", "needs the hub: a tiny model from a hub on loopback", hub=True),
    Case("icl-mask run --model model.gguf", MINUTES, "icl-mask run --model model.gguf --limit 4"),
    Case(
        "icl-mask run --mask TTF,FTF --from-layer 0..23 --seed 1..4 --limit 50 --json",
        HOURS,
        "icl-mask run --mask TTF,FTF --from-layer 0..23 --seed 1..2 --limit 1 --json",
    ),
    Case("icl-mask run --no-stop --results results/no-stop", MINUTES, "icl-mask run --no-stop --results results/no-stop --limit 4"),
    Case("icl-mask run --model qwen2.5-coder-0.5b --chat-template", MINUTES,
         "icl-mask run --model qwen2.5-coder-0.5b --chat-template --limit 4"),
    Case("icl-mask submit --parts 8 --sbatch=--time=4:00:00 -- run --config masking --seed 0..3",
         "needs Slurm (bin/check-slurm.sh has one) and the hub",
         "icl-mask submit --dry-run --parts 8 --sbatch=--time=4:00:00 -- run --config masking --seed 0..3 --model smollm2-135m "
         "--data nations", says="#SBATCH --array=1-8"),
    Case("icl-mask run --from-manifest results/.../manifest.json", "`...` is to be filled in",
         "icl-mask run --from-manifest results/qwen2.5-coder-0.5b/nations.en-fr/qa_lines-k5-seed1/manifest.json"),
    Case("bash bin/build-cuda.sh", "fetches 1.2 GB and builds for 17 minutes", "bash -n bin/build-cuda.sh"),
    Case(
        "LD_LIBRARY_PATH=FOLDER target/cuda/release/icl-mask run --device cuda --dtype bf16 --batch 1024 --model "
        "meta-llama/Llama-3.1-8B",
        "needs a GPU and the hub: the build without CUDA refuses",
        "icl-mask run --device cuda --dtype bf16 --batch 1024 --model meta-llama/Llama-3.1-8B",
        code=2,
        says="cuda",
    ),
    Case("bash bin/bench-gpu.sh", "needs a GPU", code=2, says="there is no target/cuda/release/icl-mask"),
    Case("icl-mask run --ablate-attention all --limit 50 --results results/ablation", MINUTES,
         "icl-mask run --ablate-attention all --limit 4 --results results/ablation"),
    Case("icl-mask run --drop-context --mask none,TTF --from-layer 8,16,18 --limit 10 --results results/dropped",
         "one generation after the other takes minutes",
         "icl-mask run --drop-context --mask none,TTF --from-layer 8,16,18 --limit 2 --results results/dropped"),
    Case("bash bin/main-figure.sh", HOURS, "bash bin/main-figure.sh 1 12", builds=True, seconds=1800, says="figures/main/masks.svg"),
    Case("bash bin/main-figure.sh 50 2 qwen2.5-coder-1.5b", "takes half an hour", "bash bin/main-figure.sh 1 14 qwen2.5-coder-1.5b",
         builds=True, seconds=1800, says="figures/main-qwen2.5-coder-1.5b/masks.svg"),
    Case(
        "icl-mask lora --model smollm2-135m --data nations --direction fr-en --layers all --train-size 400 --learning-rate 5e-3 "
        "--limit 100 --results results/lora",
        HOURS,
        "icl-mask lora --model smollm2-135m --data nations --direction fr-en --layers 10,20 --train-size 16 --dev-size 8 "
        "--learning-rate 5e-3 --limit 5 --results results/lora",
    ),
    Case(
        "icl-mask run --model smollm2-135m --data nations --direction fr-en --mask none,TTF --from-layer all --limit 100 --results "
        "results/masks",
        "goes with the adapters before, which are tested on 5 sentences",
        "icl-mask run --model smollm2-135m --data nations --direction fr-en --mask none,TTF --from-layer all --limit 5 --results "
        "results/masks",
    ),
    Case("icl-mask lora --layers 8..14 --train-size 400,800 --seed 0,1 --loss target", HOURS,
         "icl-mask lora --layers 10 --train-size 4,8 --dev-size 4 --seed 0 --loss target --limit 2"),
    Case("icl-mask run --adapter results/.../lora/layer-10 --mask none,TTF", "`...` is to be filled in",
         "icl-mask run --adapter $(ls -d results/qwen2.5-coder-0.5b/*/*/lora/layer-10 | head -n 1) --mask none,TTF --limit 2"),
    Case(
        "icl-mask run --task code --mask none,TTF,FTF --from-layer all --results results/humaneval",
        HOURS,
        "icl-mask run --task code --mask none,TTF,FTF --from-layer 8,16 --limit 2 --results results/humaneval",
        before="bash bin/prepare-humaneval.sh",
    ),
    Case("icl-mask run --task code --mask none --samples 20 --temperature 0.8 --top-p 0.95", HOURS,
         "icl-mask run --task code --mask none --samples 20 --temperature 0.8 --top-p 0.95 --limit 1"),
]  # fmt: skip
# Commands of the prose, with their names filled in: they run after all others. README.md must have the first of each pair.
PROSE = [
    ("icl-mask models NAME", "icl-mask models qwen2.5-coder-0.5b"),
    ("data verify NAME --direction en-fr", "icl-mask data verify nations --direction en-fr"),
    ("icl-mask figure masks results/humaneval", "icl-mask figure masks results/humaneval"),
]
# Blocks that show what a command says, but not that command, by their first line; and why they are not compared.
ONLY_SHOWN = {"mask  layer  pass@1          95 %  passed  seconds": "some lines of a run of five hours"}
# What a processor may change: sums in another order turn near-ties, so that a score out of 100 moves by this much.
TOLERANCE = 0.3
# What only a slow machine says: a line each 30 seconds.
PROGRESS = re.compile(r"^\d+ of \d+ generations, ")


# ---- what README.md has


@dataclass
class Command:
    """A command of README.md, on one line and without its comment, and the lines that README.md shows below it."""

    line: int
    text: str
    shown: list[str]


def blocks(text):
    """Language, number of the first line and lines of each fenced block."""
    language, first, held = None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("```"):
            held.append(line)
        elif language is None:
            language, first, held = line[3:].strip(), number + 1, []
        else:
            yield language, first, held
            language = None
    if language is not None:
        raise SystemExit(f"README.md:{first}: this block does not end")


def without_comment(line):
    """As bash reads it: `#` begins a comment where a word may begin."""
    words = re.findall(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""", line)
    return " ".join(itertools.takewhile(lambda word: not word.startswith("#"), words))


def joined(lines, first):
    """Commands of several lines, which end in a backslash, as one."""
    text, begun = "", first
    for number, line in enumerate(lines, first):
        begun = begun if text else number
        text += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            if command := without_comment(text):
                yield Command(begun, command, [])
            text = ""


def commands_of(text):
    """The commands in their order, and the first lines of blocks that only show something."""
    found, only_shown = [], []
    for language, first, lines in blocks(text):
        if language == "sh":
            found += joined(lines, first)
        elif language == "text" and lines[0].startswith("$ "):
            end = next(n for n, line in enumerate(lines, 1) if not line.endswith("\\"))
            (command,) = joined([lines[0][2:], *lines[1:end]], first)
            command.shown = lines[end:]
            if any(line.startswith("$ ") for line in command.shown):
                raise SystemExit(f"README.md:{first}: a block shows what one command says; this one has several")
            found.append(command)
        elif language == "text":
            only_shown.append(lines[0].strip())
        else:
            raise SystemExit(f"README.md:{first}: a block is `sh` or `text`, not `{language}`")
    return found, only_shown


def misfits(text, commands, only_shown):
    """Where the table at the top and README.md do not fit."""
    prose = " ".join(text.split())
    count = {}
    for command in commands:
        count[command.text] = count.get(command.text, 0) + 1
    for case in CASES:
        if count.get(case.command) != 1:
            yield f"README.md has {count.get(case.command, 0)} times, not once: {case.command}"
    yield from (f"two cases of {case.command}" for case in CASES if sum(c.command == case.command for c in CASES) > 1)
    for words in [shown for shown, _ in PROSE] + [c.before for c in CASES if c.before.startswith("bash bin/")]:
        if words not in prose:
            yield f"README.md does not have: {words}"
    for line in set(only_shown) ^ set(ONLY_SHOWN):
        yield f"a block that only shows something is in README.md or in ONLY_SHOWN, not in both: {line}"
    for script in sorted(set(re.findall(r"bin/[\w-]+\.sh", text))):
        if not (ROOT / script).is_file():
            yield f"README.md names {script}, which is not there"


# ---- what a command says


def pattern(line):
    """A line without times, and its numbers."""
    line = re.sub(r"\d[\d.,]* (s|min|h|GFLOP/s)\b", "TIME", line)
    line = re.sub(r"█+", "", line).rstrip()
    numbers = re.findall(r"\d+\.\d+", line)
    return " ".join(re.sub(r"\d+\.\d+", "N", line).split()), [float(number) for number in numbers]


def alike(shown, said, seconds_last):
    """Whether a line says what is shown; in a table its last number is seconds."""
    (words, numbers), (other, others) = pattern(shown), pattern(said)
    if words != other:
        return False
    if seconds_last:
        numbers, others = numbers[:-1], others[:-1]
    bars = abs(shown.count("█") - said.count("█")) <= 1
    return bars and all(abs(a - b) <= TOLERANCE for a, b in zip(numbers, others, strict=True))


def difference(shown, said):
    """The first line that is not as shown; empty lines and those about progress do not count."""
    shown = [line for line in shown if line.strip()]
    said = [line for line in said if line.strip() and not PROGRESS.search(line)]
    table = False
    for want, have in itertools.zip_longest(shown, said):
        if want is None or have is None:
            return f"README.md shows {want!r}, and it says {have!r}" if want else f"README.md does not show {have!r}"
        if not alike(want, have, table and re.match(r" *\w+ +(\d+|-) ", want)):
            return f"README.md shows {want!r}, and it says {have!r}"
        table = table or want.split()[-1] == "seconds"
    return ""


# ---- running


def git(*arguments):
    subprocess.run(["git", "-c", "advice.detachedHead=false", *arguments], check=True)


def clone_into(clone, fresh_results):
    """The last commit of this checkout. What an earlier call left in the folder is kept, but for its results."""
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    if subprocess.run(["git", "-C", ROOT, "status", "--porcelain"], check=True, capture_output=True).stdout:
        print("what is not committed is not checked", flush=True)
    if (clone / ".git").is_dir():
        git("-C", clone, "fetch", "--quiet", ROOT, head)
        git("-C", clone, "checkout", "--quiet", "--force", "--detach", head)
        git("-C", clone, "clean", "--quiet", "-d", "--force")
    else:
        git("clone", "--quiet", "--no-hardlinks", ROOT, clone)
    if fresh_results:
        shutil.rmtree(clone / "figures", ignore_errors=True)
        for path in (clone / "results").iterdir():
            if path.name != "README.md":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return head


class Shell:
    """Runs one command after the other as one shell would, each with a time of its own."""

    def __init__(self, folder, clone):
        self.folder, self.clone, self.exported = folder, clone, folder / "exported.sh"
        self.exported.write_text("")
        # Without what a reader of README.md has not set.
        theirs = ("HF_", "HUGGING_FACE_", "ICL_MASK")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
        self.built = {}
        # The reader's own cache of models is left alone.
        self.environment["HF_HOME"] = str(folder / "hub")

    def run(self, command, log, seconds, extra):
        """The exit code, and what it said; 124 if it took longer than `seconds`."""
        keep = 'code=$?; export -p >"$EXPORTED"; exit "$code"' if command.startswith("export ") else ""
        script = f'. "$EXPORTED"\n{command}\n{keep}\n'
        environment = self.environment | extra | {"EXPORTED": str(self.exported)}
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"$ {command}\n")
            out.flush()
            begun = out.tell()
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=self.clone, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(seconds)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                code = 124
        with open(log, encoding="utf-8", errors="replace") as told:
            told.seek(begun)
            return code, told.read()


def check(shell, command, case, address, log):
    """What is wrong with a command; empty if nothing is."""
    extra = {"HF_ENDPOINT": address} if case and case.hub else shell.built if case and case.builds else {}
    if case and case.before:
        code, said = shell.run(case.before, log, SECONDS, extra)
        if code != 0:
            return f"before it, `{case.before}` ends with {code}: {last(said)}"
    make_later_files(shell.clone)
    text = case.instead if case and case.instead else command.text
    code, said = shell.run(text, log, case.seconds if case else SECONDS, extra)
    expected, says = (case.code, case.says) if case else (0, "")
    if code == 124:
        return f"it is not done after {case.seconds if case else SECONDS} s"
    if code != expected:
        return f"it ends with {code}, not {expected}: {last(said)}"
    if says not in said:
        return f"it does not say `{says}`: {last(said)}"
    if "panicked at" in said:
        return "it panicked"
    return difference(command.shown, said.splitlines()) if command.shown else ""


def last(said):
    """The end of what was said."""
    return " / ".join(line.strip() for line in said.strip().splitlines()[-3:]) or "it says nothing"


def run_all(commands, shell, first):
    """How many commands ended as expected, and how many did not."""
    cases = {case.command: case for case in CASES}
    counts = {"ok": 0, "failed": 0, "not run": 0}
    with tempfile.TemporaryDirectory() as folder:
        tiny_model(Path(folder), shell.clone / "tests/goldens/tokenizers/gpt-2.tokenizer.json")
        server, address = hub(Path(folder))
        for number, command in enumerate(commands, 1):
            begun, case = time.monotonic(), cases.get(command.text)
            if number < first and not command.text.startswith("export "):
                state, wrong = "not run", ""
            else:
                wrong = check(shell, command, case, address, shell.folder / f"logs/{number:02}.txt")
                state = "failed" if wrong else "ok"
            counts[state] += 1
            print(f"{number:3} {state:8} {time.monotonic() - begun:7.1f} s  {command.text}")
            for line in differs(case) * (state != "not run") + [f"WRONG: {wrong}"] * bool(wrong):
                print(f"{'':25}{line}")
            sys.stdout.flush()
        server.shutdown()
    return counts


def differs(case):
    """What was done otherwise than README.md has it."""
    if not case:
        return []
    how = [f"as: {case.instead}"] * bool(case.instead) + [f"after: {case.before}"] * bool(case.before)
    return [f"({case.reason})", *how]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the clone and logs here, and go on with what is there")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="N", help="begin with this command")
    parser.add_argument("--list", action="store_true", help="only show the commands, and what is done otherwise here")
    arguments = parser.parse_args()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands, only_shown = commands_of(text)
    wrong = list(misfits(text, commands, only_shown))
    for line in wrong:
        print(f"check-readme: {line}", file=sys.stderr)
    if wrong:
        return 2
    commands += [Command(0, text, []) for _, text in PROSE]
    if arguments.list:
        cases = {case.command: case for case in CASES}
        for number, command in enumerate(commands, 1):
            print(f"{number:3} {command.text}", *differs(cases.get(command.text)), sep=f"\n{'':8}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    with tempfile.TemporaryDirectory(prefix="icl-mask-readme.", ignore_cleanup_errors=True) as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        for log in (folder / "logs").iterdir():
            log.unlink()
        return verdict(commands, folder, arguments)


def verdict(commands, folder, arguments):
    """Runs the commands in a clone in this folder; the exit code."""
    begun, clone = time.monotonic(), folder / "clone"
    try:
        head = clone_into(clone, arguments.first == 1)
    except subprocess.CalledProcessError as error:
        print(f"check-readme: there is no clone: {error}", file=sys.stderr)
        return 2
    print(f"commit {head} in {clone}", flush=True)
    shell = Shell(folder, clone)
    if binary := os.environ.get("ICL_MASK_BIN"):
        target = clone / "target/release/icl-mask"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(binary).resolve(), target)
        shell.built = {"ICL_MASK_BIN": str(target)}
    make_files(clone)
    counts = run_all(commands, shell, arguments.first)
    print(", ".join(f"{count} {state}" for state, count in counts.items()) + f"; {time.monotonic() - begun:.0f} s")
    if counts["failed"] and arguments.folder:
        print(f"what the commands said is in {folder / 'logs'}")
    return 1 if counts["failed"] else 2 if counts["not run"] else 0


if __name__ == "__main__":
    sys.exit(main())
