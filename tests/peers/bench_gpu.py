#!/usr/bin/env python3
"""A whole sweep of a large model on a GPU against loops over layers in transformers on the same GPU. Run by bin/bench-gpu.sh.

    bench_gpu.py MODEL_FOLDER --binary target/cuda/release/icl-mask --items 100

icl-mask computes the baseline and TTF from every layer for all items, 50 tokens each, in batches of several sizes. The loops of
bench_hf.py (the study's: batch 4, eager; a tuned one: the context computed once, its best batch and kernel) are timed at the
baseline and some start layers, and extrapolated by a line through these to all layers. All compute in the same type. Prints
Markdown. With --device cpu and a small model it says whether the script itself works.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import torch
from transformers import AutoModelForCausalLM

import bench_hf


def say(text):
    print(text, file=sys.stderr, flush=True)


class GpuMemory:
    """The most memory that all processes together held on the GPU, in GiB, above what was held before."""

    def __init__(self, device):
        self.device, self.seen = device, [0.0]

    def __enter__(self):
        if self.device != "cpu":
            words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-lms", "50"]
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            self.seen = [float(self.process.stdout.readline()) / 1024]
            self.thread = threading.Thread(target=self._read)
            self.thread.start()
        return self

    def _read(self):
        self.seen.extend(float(line) / 1024 for line in self.process.stdout)

    def __exit__(self, *_):
        if self.device != "cpu":
            self.process.terminate()
            self.thread.join()

    @property
    def peak(self):
        return max(self.seen) - self.seen[0]


class Ours:
    """icl-mask as anybody would call it."""

    def __init__(self, args):
        self.args = args
        self.common = ["--model", args.folder, "--data", "nations", "--direction", "en-fr", "--nprompts", "5"]
        self.common += ["--limit", str(args.items)]

    def prompts(self):
        """Tokens and hidden columns of each prompt, and the number of layers."""
        words = [self.args.binary, "show", *self.common, "--mask", "TTF", "--from-layer", "0", "--json", "--item"]

        def show(item):
            return json.loads(subprocess.run([*words, str(item)], check=True, capture_output=True, text=True).stdout)

        with ThreadPoolExecutor() as pool:
            shown = list(pool.map(show, range(self.args.items)))
        prompts = []
        for prompt in shown:
            if len(prompt["hidden"]) != 1 or prompt["hidden"][0][0] != 0:
                sys.exit("the loops know only prompts that begin with what is hidden, without a BOS")
            prompts.append({"id": prompt["id"], "tokens": prompt["tokens"], "hidden": prompt["hidden"][0][1]})
        return prompts, prompt["n_layers"]

    def run(self, masks, layers, batch):
        """Seconds of computing, of loading and computing, TFLOP/s, peak GiB on the GPU, generations, and tokens by layer and item."""
        words = [self.args.binary, "run", *self.common, "--mask", masks, "--from-layer", layers, "--no-stop", "--json"]
        words += ["--max-new-tokens", str(self.args.new_tokens), "--batch", str(batch), "--device", self.args.device]
        words += ["--dtype", "f32" if self.args.dtype == "float32" else "bf16"]
        with tempfile.TemporaryDirectory() as results, GpuMemory(self.args.device) as memory:
            begun = time.perf_counter()
            done = subprocess.run([*words, "--results", results], capture_output=True, text=True)
            wall = time.perf_counter() - begun
            if done.returncode:
                sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")
            tokens = {}
            for line in done.stdout.splitlines():
                cell = json.loads(line)
                with open(cell["path"].removesuffix(".json") + ".jsonl", encoding="utf-8") as file:
                    tokens[cell["from_layer"]] = {row["id"]: row["tokens"] for row in map(json.loads, file)}
        found = re.search(r"(\d+) generations: ([\d.]+) tera multiply-adds in ([\d.]+) s", done.stderr)
        generations, tera, compute = (float(number) for number in found.groups())
        return SimpleNamespace(
            seconds=compute, wall=wall, rate=2 * tera / compute, peak=memory.peak, generations=int(generations), tokens=tokens
        )


def load(args):
    begun = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(
        args.folder, dtype=torch.get_default_dtype(), attn_implementation="eager", device_map=args.device
    ).eval()
    attention = getattr(sys.modules[type(model).__module__], "eager_attention_forward")
    return SimpleNamespace(model=model, family_attention=attention), time.perf_counter() - begun


def product_rate(device, size):
    """TFLOP/s of a large square product on random values."""
    a, b = (torch.randn(size, size) for _ in range(2))
    times = []
    for _ in range(13):
        if device != "cpu":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        a @ b
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return 2 * size**3 / sorted(times[3:])[5] / 1e12


def whole(seconds, layers, start_layers):
    """Seconds a generation of all cells: {layers: baseline, layer: ...} -> the mean over the baseline and all start layers."""
    line = np.polyfit(start_layers, [seconds[layer] for layer in start_layers], 1)
    return (seconds[layers] + sum(np.polyval(line, layer) for layer in range(layers))) / (layers + 1)


def agreement(ours, loop, layers):
    """How many generations of a loop are ours, and the median of the first tokens that are."""
    same, first = 0, []
    for layer in layers:
        for item, tokens in loop[layer].items():
            pairs = list(zip(ours[layer][item], tokens))
            first.append(next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs)))
            same += first[-1] == len(pairs)
    return f"{same} of {len(first)} the same, median of the first tokens that are {int(np.median(first))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--binary", default="target/cuda/release/icl-mask")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--new-tokens", type=int, default=50)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--ours-batches", default="1024,2048,3300")
    parser.add_argument("--study-items", type=int, default=8)
    parser.add_argument("--tuned-batches", default="32,64,100")
    parser.add_argument("--layers", default="0,16,31", help="start layers at which the loops are timed")
    args = parser.parse_args()
    torch.set_default_dtype(getattr(torch, args.dtype))
    torch.set_default_device(args.device)
    name = torch.cuda.get_device_name() if args.device != "cpu" else "the CPU"
    size = 8192 if args.device != "cpu" else 1024
    peak_rate = product_rate(args.device, size)
    print(f"{name}, torch {torch.__version__}, transformers {bench_hf.transformers_version}, {args.dtype}; a product of {size} cubed "
          f"runs at {peak_rate:.3g} TFLOP/s\n")  # fmt: skip
    if args.device != "cpu":
        torch.cuda.empty_cache()

    ours = Ours(args)
    prompts, layers = ours.prompts()
    lengths = [len(prompt["tokens"]) for prompt in prompts]
    start_layers = [int(layer) for layer in args.layers.split(",")]
    print(f"{args.items} prompts of {min(lengths)} to {max(lengths)} tokens, {args.new_tokens} new ones, {layers} layers\n")
    print("| | generations | seconds | seconds a generation | TFLOP/s | share of the product's | peak GiB |")
    print("|---|---|---|---|---|---|---|")
    runs = {}
    for batch in map(int, args.ours_batches.split(",")):
        run = runs[batch] = ours.run("none,TTF", "all", batch)
        each = run.seconds / run.generations
        print(f"| icl-mask, batch {batch} | {run.generations} | {run.seconds:.1f} (with loading {run.wall:.1f}) | {each:.4f} | "
              f"{run.rate:.3g} | {run.rate / peak_rate:.0%} | {run.peak:.1f} |", flush=True)  # fmt: skip
    best = min(runs.values(), key=lambda run: run.seconds)
    each = best.seconds / best.generations

    say("loading into transformers")
    with GpuMemory(args.device) as memory, torch.inference_mode():
        masked_model, seconds = load(args)
        say(f"loaded in {seconds:.1f} s")
        study = bench_hf.Study(masked_model)
        some, of_study, tokens = prompts[: args.study_items], {}, {}
        study.cell(some[:4], layers, 2)
        for layer in [layers, *start_layers]:
            seconds, found = study.cell(some, layer, args.new_tokens)
            of_study[layer] = seconds / len(some)
            tokens[layer] = dict(zip((prompt["id"] for prompt in some), found))
        slow = whole(of_study, layers, start_layers)
        print(f"| (a) the study's loop, batch 4, eager | {len(some) * len(of_study)} timed | | {slow:.4f} | | | {memory.peak:.1f} |")
        agreements = [f"(a): {agreement(best.tokens, tokens, of_study)}"]

        tuned = bench_hf.Tuned(masked_model)
        context = tuned.prepare(prompts)
        choices = [(int(batch), kernel) for batch in args.tuned_batches.split(",") for kernel in bench_hf.KERNELS]
        tuned.cell(prompts[:4], 0, 2, 4, "sdpa")
        tried = {choice: tuned.cell(prompts, layers // 2, args.new_tokens, *choice)[0] for choice in choices}
        batch, kernel = min(tried, key=tried.get)
        of_tuned, tokens = {}, {}
        for layer in [layers, *start_layers]:
            seconds, found = tuned.cell(prompts, layer, args.new_tokens, batch, kernel)
            of_tuned[layer] = (seconds + context / (layers + 1)) / len(prompts)
            tokens[layer] = dict(zip((prompt["id"] for prompt in prompts), found))
        fast = whole(of_tuned, layers, start_layers)
        print(f"| (b) tuned, batch {batch}, {kernel} | {len(prompts) * len(of_tuned)} timed | | {fast:.4f} | | | {memory.peak:.1f} |\n")
        agreements.append(f"(b): {agreement(best.tokens, tokens, of_tuned)}")
    print(f"(a) takes {slow / each:.1f} times as long as icl-mask, (b) {fast / each:.1f} times. Generations: {'; '.join(agreements)}.")


if __name__ == "__main__":
    main()
