#!/usr/bin/env python3
"""One run of a sweep with icl-mask against loops over layers: times, outputs, memory. Run by bin/bench-peers.sh.

    bench.py --model smollm2-135m --items 8 --binary target/release/icl-mask --llama-python PYTHON

icl-mask is timed on the whole sweep (the baseline and TTF from every layer), the two loops of bench_hf.py on some of
its cells, llama.cpp on the baseline alone. The rounds are interleaved, every second one backwards, so that a machine
that slows down slows all of them; medians are reported. Greedy tokens are compared in every cell that the loops
compute. Prints Markdown; raw numbers go to target/bench/MODEL.json. Exit code 1 if outputs differ by more than ties.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import torch

import bench_hf
from bench_report import markdown

ROWS = (1, 4, 16, 62, 128, 256, 512)
LLAMA_BATCHES = (1, 8, 32, 64, 128)
WORK = "target/bench"


def say(text):
    print(text, file=sys.stderr, flush=True)


# A process counts the memory of the one that started it, which holds a model here: a small one stands in between.
STARTER = """
import json, os, sys, time
begun = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
seen = {"seconds": time.perf_counter() - begun, "peak": usage.ru_maxrss / 2**20}
json.dump(seen, open(sys.argv[1], "w"))
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


class Failed(Exception):
    """A program ended with an error; the message is its last words."""


def command(words):
    """-> stdout, seconds, peak memory in GiB, stderr"""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        seen = f"{folder}/seen.json"
        done = subprocess.run([sys.executable, "-I", "-c", STARTER, seen, *words], capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(words)} failed:\n{done.stderr}")
        with open(seen, encoding="utf-8") as file:
            measured = json.load(file)
    return done.stdout, measured["seconds"], measured["peak"], done.stderr


class Ours:
    """icl-mask as anybody would call it."""

    def __init__(self, args):
        self.binary, self.new_tokens = args.binary, args.new_tokens
        self.common = ["--model", args.model, "--data", "nations", "--direction", "en-fr"]
        self.can_go_on = "--no-stop" in command([self.binary, "run", "--help"])[0]

    def prompts(self, n):
        shown = []
        for item in range(n):
            words = [self.binary, "show", *self.common, "--mask", "TTF", "--from-layer", "0"]
            shown.append(json.loads(command([*words, "--limit", str(n), "--item", str(item), "--json"])[0]))
        if any(len(p["hidden"]) != 1 or p["hidden"][0][0] != 0 for p in shown):
            sys.exit("the two loops know only prompts that begin with what is hidden, without a BOS")
        prompts = [{"id": p["id"], "tokens": p["tokens"], "hidden": p["hidden"][0][1]} for p in shown]
        return prompts, shown[0]["n_layers"]

    def words(self, masks, layers, limit, stop):
        words = [self.binary, "run", *self.common, "--mask", masks, "--from-layer", layers, "--limit", str(limit)]
        words += ["--max-new-tokens", str(self.new_tokens), "--json"]
        return words if stop or not self.can_go_on else [*words, "--no-stop"]

    def run(self, masks, layers, limit, stop):
        """{wall, compute, gflops, peak, generations, tokens: {from_layer: {item: tokens}}}"""
        words = self.words(masks, layers, limit, stop)
        with tempfile.TemporaryDirectory(dir=WORK) as results:
            out, wall, peak, err = command([*words, "--results", results])
            cells = [json.loads(line) for line in out.splitlines()]
            tokens = {}
            for cell in cells:
                with open(cell["path"].removesuffix(".json") + ".jsonl", encoding="utf-8") as file:
                    lines = [json.loads(line) for line in file]
                tokens[cell["from_layer"]] = {line["id"]: line["tokens"] for line in lines}
        tera, compute = map(float, re.search(r"([\d.]+) tera multiply-adds in ([\d.]+) s", err).groups())
        generations = sum(map(len, tokens.values()))
        generated = sum(len(t) for cell in tokens.values() for t in cell.values())
        return {"wall": wall, "compute": compute, "gflops": 2000 * tera / compute, "peak": peak, "generations": generations,
                "generated_tokens": generated, "tokens": tokens}  # fmt: skip

    def planned(self, masks, layers, limit):
        plan = json.loads(command([*self.words(masks, layers, limit, True), "--dry-run"])[0])
        return plan["memory_gib"]


class Bench:
    def __init__(self, args):
        self.args, self.ours = args, Ours(args)
        self.skipped = set(args.skip.split(",")) if args.skip else set()
        self.gguf = f"models/{args.model}.gguf"
        self.many = max(args.items, args.batch_items)
        self.prompts, self.layers = self.ours.prompts(self.many)
        last = self.layers - 1
        spread = sorted({last * i // 4 for i in range(5)})
        chosen = spread if args.layers is None else sorted({int(n) for n in args.layers.split(",")})
        if not chosen or chosen[0] < 0 or chosen[-1] > last:
            sys.exit(f"--layers: 0 to {last}")
        # The baseline is the run that hides from layer L on.
        self.cells = [self.layers, *chosen]
        self.raw = {
            "model": args.model, "layers": self.layers, "items": args.items, "many": self.many, "cells": self.cells,
            "new_tokens": args.new_tokens, "rounds": args.rounds, "no_stop": self.ours.can_go_on,
            "prompt_tokens": [len(p["tokens"]) for p in self.prompts], "threads": torch.get_num_threads(),
            "torch": torch.__version__, "transformers": bench_hf.transformers_version, "cpu": cpu(),
            "ours": {"no-stop": [], "stop": [], "baseline": []}, "study": [], "tuned": [], "tuned-many": [],
            "llama": {"speed": {}, "pass": []}, "products": [], "outputs": {}, "planned": {}, "differences": [],
            "product_rows": ROWS, "matmul": read(args.matmul) if args.matmul else "",
        }  # fmt: skip
        self.reference, self.own, self.judged = {}, {}, {}
        self.failures = self.raw["failures"] = []

    # --- Hugging Face ---

    def load_peers(self):
        say(f"loading {self.gguf} into transformers")
        masked_model, self.raw["load_seconds_transformers"] = bench_hf.load(self.gguf)
        self.config = masked_model.model.config
        self.study, self.tuned = bench_hf.Study(masked_model), bench_hf.Tuned(masked_model)
        self.judge = bench_hf.Judge(masked_model)
        if "study" not in self.skipped:
            self.study.cell(self.prompts[:4], self.layers // 2, 3)
        if "tuned" not in self.skipped:
            self.probe_tuned()

    def probe_tuned(self):
        items, new_tokens, middle = self.args.items, self.args.new_tokens, self.layers // 2
        self.tuned.prepare(self.prompts)
        # Again, now that everything is warm.
        self.raw["context_seconds"] = self.tuned.prepare(self.prompts)
        self.raw["context_tokens"] = self.tuned.n_context
        tried = []
        for size in sorted({n for n in (8, 16, 32, 64, 128) if n < self.many} | {items, self.many}):
            for kernel in bench_hf.KERNELS:
                some = self.prompts[:size]
                self.tuned.cell(some, middle, 2, size, kernel)
                seconds = min(self.tuned.cell(some, middle, new_tokens, size, kernel)[0] for _ in range(2))
                tried.append({"batch": size, "kernel": kernel, "each": seconds / size})
                say(f"  tuned loop, batch {size}, {kernel}: {seconds / size:.3f} s a generation")
        best = min(tried, key=lambda t: t["each"])
        few = min((t for t in tried if t["batch"] <= items), key=lambda t: t["each"])
        self.raw["probe"] = {"tried": tried, "best": best, "few": few}
        self.tuned.made = {}

    def loop_cells(self, kind, run, prompts):
        times = {}
        for cell in self.cells:
            times[cell], tokens = run(cell)
            self.compare(kind, cell, prompts, tokens)
        self.raw[kind].append(times)
        return sum(times.values()) / len(times) / len(prompts)

    def step_study(self):
        prompts = self.prompts[: self.args.items]
        return self.loop_cells("study", lambda l: self.study.cell(prompts, l, self.args.new_tokens), prompts)

    def step_tuned(self, kind="tuned"):
        prompts = self.prompts[: self.args.items if kind == "tuned" else self.many]
        how = self.raw["probe"]["few" if kind == "tuned" else "best"]
        new_tokens = self.args.new_tokens
        return self.loop_cells(
            kind, lambda l: self.tuned.cell(prompts, l, new_tokens, how["batch"], how["kernel"]), prompts
        )

    # --- llama.cpp ---

    def llama(self, *words):
        return json.loads(command([self.args.llama_python, "tests/peers/bench_llama.py", *map(str, words)])[0])

    def prepare_llama(self):
        self.prompts_file = f"{WORK}/{self.args.model}.prompts.json"
        with open(self.prompts_file, "w", encoding="utf-8") as file:
            json.dump(self.prompts, file)
        self.files = {"as it is": self.gguf}
        for kind in ("f16", "f32"):
            self.files[kind] = f"{WORK}/{self.args.model}.{kind}.gguf"
            # Made again if the model is newer.
            if not os.path.exists(self.files[kind]) or os.path.getmtime(self.files[kind]) < os.path.getmtime(self.gguf):
                say(f"llama.cpp writes {self.files[kind]}")
                self.llama("convert", self.gguf, self.files[kind], kind)
        sizes = sorted({n for n in LLAMA_BATCHES if n < self.many and n > 1} | {self.many})
        answer = self.llama(
            "probe", self.files["f32"], self.prompts_file, self.args.new_tokens, ",".join(map(str, sizes))
        )
        self.raw["llama"] |= {"probe": answer, "version": answer["version"], "system": answer["system"]}
        say(f"  llama.cpp's best: {answer['best']}")

    def step_llama_speed(self):
        batches = ",".join(map(str, LLAMA_BATCHES))
        for kind, path in self.files.items():
            try:
                answer = self.llama("speed", path, self.prompts_file, batches)
            except Failed:
                # Its code for AMX tiles crashes where the compiler lost the tiles' shape; so without that.
                answer = self.llama("plain-speed", path, self.prompts_file, batches)
            self.raw["llama"]["speed"].setdefault(kind, []).append(answer)

    def step_llama_pass(self):
        best = self.raw["llama"]["probe"]["best"]
        how = (best["batch"], int(best["unified"]), int(best["flash"]))
        answer = self.llama("pass", self.files["f32"], self.prompts_file, self.args.new_tokens, *how)
        self.llama_tokens = answer.pop("tokens")
        self.raw["llama"]["pass"].append(answer)
        return answer["seconds"] / self.many

    # --- ours ---

    def step_ours(self, kind):
        if kind == "baseline":
            run = self.ours.run("none", "0", self.many, stop=False)
        else:
            run = self.ours.run("none,TTF", "all", self.args.items, stop=kind == "stop")
        tokens = run.pop("tokens")
        self.raw["ours"][kind].append(run)
        if self.own.setdefault(kind, tokens) != tokens:
            self.failures.append(f"icl-mask ({kind}) generated other tokens in another round")
        return run["compute"] / run["generations"]

    def compute_reference(self):
        """Ours in the cells that the loops compute, for all items that any of them takes."""
        say("icl-mask generates what the loops are compared with")
        layers = ",".join(map(str, self.cells[1:]))
        self.reference = self.ours.run("none,TTF", layers, self.many, stop=False)["tokens"]

    # --- outputs ---

    def compare(self, kind, cell, prompts, tokens):
        counts = self.raw["outputs"].setdefault(kind, {"generations": 0, "identical": 0, "ties": 0, "different": 0})
        for prompt, theirs in zip(prompts, tokens):
            ours = self.reference[cell][prompt["id"]]
            counts["generations"] += 1
            if ours == theirs:
                counts["identical"] += 1
                continue
            # Every round says the same.
            key = (cell, prompt["id"], tuple(theirs))
            if key not in self.judged:
                self.judged[key] = self.judge.compare(prompt, cell, ours, theirs, self.ours.can_go_on)
            verdict = self.judged[key]
            if verdict is None:
                counts["identical"] += 1
                continue
            counts["ties" if verdict["near_tie"] else "different"] += 1
            entry = {"kind": kind, "from_layer": cell, "item": prompt["id"], **verdict}
            if entry not in self.raw["differences"]:
                self.raw["differences"].append(entry)
                if not verdict["near_tie"]:
                    self.failures.append(f"{kind}, from layer {cell}, {prompt['id']}: {verdict}")

    def compare_ours(self):
        """Stopping cuts a generation and changes nothing else, and neither do other items and cells beside it."""
        whole, stopped = self.own.get("no-stop", {}), self.own.get("stop", {})
        pairs = [("with exact stopping", stopped, whole), ("in the reference run", self.reference, whole)]
        pairs.append(("as the baseline alone", self.own.get("baseline", {}), self.reference))
        for what, some, others in pairs:
            n = differ = 0
            for cell in some.keys() & others.keys():
                for item in some[cell].keys() & others[cell].keys():
                    a, b = some[cell][item], others[cell][item]
                    n, differ = n + 1, differ + (a != (b[: len(a)] if some is stopped else b))
            self.raw["outputs"][f"icl-mask {what}"] = {"generations": n, "identical": n - differ}
            if differ:
                self.failures.append(f"icl-mask {what}: {differ} of {n} generations differ from the sweep's")

    def compare_llama(self):
        ours = self.own["baseline"][self.layers]
        agreed = shared = total = 0
        for prompt, theirs in zip(self.prompts, self.llama_tokens):
            mine = ours[prompt["id"]]
            same = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
            agreed += same == min(len(mine), len(theirs))
            shared, total = shared + same, total + min(len(mine), len(theirs))
        # Other arithmetic: reported, not judged.
        self.raw["outputs"]["llama"] = {"generations": self.many, "identical": agreed, "tokens_before": shared / total}

    # --- everything ---

    def steps(self):
        wanted = [
            ("", "icl-mask, whole sweep, no stop", lambda: self.step_ours("no-stop")),
            ("study", "the study's loop", self.step_study),
            ("", "icl-mask, whole sweep, exact stopping", lambda: self.step_ours("stop")),
            ("tuned", "tuned loop", self.step_tuned),
            ("", f"icl-mask, baseline, {self.many} items", lambda: self.step_ours("baseline")),
            ("llama", "llama.cpp, baseline", self.step_llama_pass),
            ("tuned", f"tuned loop, {self.many} items", lambda: self.step_tuned("tuned-many")),
            ("llama", "llama.cpp, tokens a second", self.step_llama_speed),
            ("gemm", "torch's matrix products", self.step_products),
        ]
        if self.many == self.args.items:
            wanted = [step for step in wanted if not step[1].startswith("tuned loop, ")]
        return [step for step in wanted if step[0] not in self.skipped]

    def step_products(self):
        by_shape, square = bench_hf.products(self.config, ROWS)
        self.raw["products"].append({"shapes": by_shape, "square": square})

    def run(self):
        masks = ("none,TTF", "all", self.args.items), ("none", "0", self.many)
        self.raw["planned"] = {k: self.ours.planned(*m) for k, m in zip(("sweep", "baseline"), masks)}
        self.compute_reference()
        self.load_peers()
        if "llama" not in self.skipped:
            self.prepare_llama()
        for turn in range(self.args.rounds):
            steps = self.steps()
            for _, name, step in steps if turn % 2 == 0 else reversed(steps):
                begun = time.perf_counter()
                each = step()
                each = f", {each:.3f} s a generation" if each else ""
                say(f"round {turn + 1} of {self.args.rounds}: {name}: {time.perf_counter() - begun:.1f} s{each}")
            self.save()
        self.compare_ours()
        if "llama" not in self.skipped:
            self.compare_llama()
        self.save()

    def save(self):
        path = f"{WORK}/{self.args.model}.json"
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.raw, file, indent=1)
        os.replace(path + ".part", path)
        return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a name of models/*.gguf")
    parser.add_argument("--items", type=int, default=8, help="test items of the sweep")
    parser.add_argument("--binary", required=True, help="icl-mask")
    parser.add_argument("--llama-python", help="interpreter with tests/peers/requirements-bench.txt")
    parser.add_argument("--matmul", help="file with the output of examples/matmul.rs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", help="start layers that the loops compute beside the baseline; default: 5, spread")
    parser.add_argument("--new-tokens", type=int, default=50)
    parser.add_argument("--batch-items", type=int, default=64, help="items of the baseline pass and the large batches")
    parser.add_argument("--skip", help="leave out some of study,tuned,llama,gemm")
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    os.makedirs(WORK, exist_ok=True)
    bench = Bench(args)
    try:
        with torch.inference_mode():
            bench.run()
    except Failed as failed:
        say(str(failed))
        return 1
    print(markdown(bench.save()))
    for failure in bench.failures:
        say(f"FAILED: {failure}")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
