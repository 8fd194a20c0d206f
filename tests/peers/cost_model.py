#!/usr/bin/env python3
"""Does the cost model of docs/performance.md say how long a sweep takes? Run by bin/cost-model.sh.

    seconds = 2 * (layers + vocabulary) / rate + 2 * attention / attention rate + passes * bytes of weights / bandwidth

The multiply-adds and the passes are what `icl-mask run --dry-run --json` counts before anything is computed. The three
constants are this machine's, found in one run each of another kind; then eight runs that differ in layers, masks, items,
context and new tokens are foretold and measured. Exit code 1 if one is off by more than a factor of 1.3.
"""

import json
import re
import subprocess
import sys
import tempfile

LIMIT = 1.3
# What a run differs in: masks, start layers, items, demonstrations, new tokens.
RUNS = [
    ("TTF at all layers", "none,TTF", "all", 4, 5, 50),
    ("twice the items", "none,TTF", "all", 8, 5, 50),
    ("half the new tokens", "none,TTF", "all", 8, 5, 25),
    ("a third of the layers", "none,TTF", "0..9", 12, 5, 50),
    ("five masks", "none,TTF,FTF,FFT,TFF,TTT", "5,15,25", 8, 5, 50),
    ("a short context", "none,TTF", "all", 8, 1, 50),
    ("a long context", "none,TTF", "all", 4, 20, 50),
    ("the baseline alone", "none", "all", 128, 5, 50),
]
RATE = ("a large sweep", "none,TTF", "all", 8, 2, 40)
ATTENTION = ("a baseline with a long context", "none", "all", 128, 20, 30)
BANDWIDTH = ("one generation", "none", "all", 1, 5, 100)


def run(model, masks, layers, items, demonstrations, new_tokens):
    """(work in multiply-adds, passes, seconds, multiply-adds as computed)"""
    words = ["target/release/icl-mask", "run", "--model", model, "--data", "nations", "--direction", "en-fr",
             "--mask", masks, "--from-layer", layers, "--limit", str(items), "--nprompts", str(demonstrations),
             "--max-new-tokens", str(new_tokens), "--no-stop"]  # fmt: skip
    plan = json.loads(subprocess.check_output([*words, "--dry-run", "--json"], text=True))
    with tempfile.TemporaryDirectory(dir="target") as folder:
        done = subprocess.run([*words, "--results", folder], check=True, capture_output=True, text=True)
    tera, seconds = map(float, re.search(r"([\d.]+) tera multiply-adds in ([\d.]+) s", done.stderr).groups())
    return plan, seconds, tera


def products(plan):
    return 2 * (plan["work_most"]["layers"] + plan["work_most"]["vocabulary"])


def reads(plan):
    return 2 * plan["work_most"]["attention"]


def main():
    model = sys.argv[1]
    weights = None
    # In turn: each is found with those before it taken out.
    plan, seconds, _ = run(model, *BANDWIDTH[1:])
    weights = plan["weights_gib"] * 2**30
    # One row at a time is as fast as weights can be read, and nothing else counts.
    bandwidth = plan["passes"] * weights / seconds
    rate, attention = 300e9, 100e9
    for _ in range(4):
        for kind, (_, *what) in (("rate", RATE), ("attention", ATTENTION)):
            if kind not in seen:
                seen[kind] = run(model, *what)
            plan, seconds, _ = seen[kind]
            left = seconds - plan["passes"] * weights / bandwidth
            if kind == "rate":
                rate = products(plan) / (left - reads(plan) / attention)
            else:
                attention = reads(plan) / (left - products(plan) / rate)
    print(f"{rate / 1e9:.0f} GFLOP/s in products, {attention / 1e9:.0f} in attention, weights read at "
          f"{bandwidth / 2**30:.1f} GiB/s\n")  # fmt: skip
    print("| | cells | items | context | new tokens | foretold, s | measured, s | ratio | multiply-adds, counted / done |")
    print("|" + "---|" * 9)
    worst = 1
    for name, *what in RUNS:
        plan, seconds, done = run(model, *what)
        foretold = products(plan) / rate + reads(plan) / attention + plan["passes"] * weights / bandwidth
        ratio = seconds / foretold
        worst = max(worst, ratio, 1 / ratio)
        counted = sum(plan["work_most"].values()) / 1e12
        print(f"| {name} | {plan['cells']} | {plan['items']} | {plan['context_tokens']} | {plan['max_new_tokens']} "
              f"| {foretold:.1f} | {seconds:.1f} | {ratio:.2f} | {counted / done:.2f} |", flush=True)  # fmt: skip
    print(f"\nThe largest factor between the two is {worst:.2f} (allowed: {LIMIT}).")
    return worst > LIMIT


seen = {}
if __name__ == "__main__":
    sys.exit(main())
