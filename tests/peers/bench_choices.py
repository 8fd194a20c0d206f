#!/usr/bin/env python3
"""Times a sweep that weighs options: one run of icl-mask against two loops over its conditions with transformers.

The sweep is the baseline and the masks TTF and FTF from each layer on, on a task with two options of one token. All compute
in float32 on the same weights, with the same number of threads, in one run on one machine; loading is in none of the times.

(a) icl-mask, as its last line says: "N generations: ... in S s".
(b) the loop that people write: for each condition whole prompts with each option, in batches of 8 padded sequences, through
    the model with a mask of four dimensions from the start layer on; logits of all positions, as `model(...)` gives them.
    It takes long, so a sample of conditions and items is timed and scaled by the number of sequences.
(c) a tuned loop: keys and values of the common context are computed once; each condition computes the items' own rows, in
    padded batches; one pass serves both options; logits of the last position alone; no layer reads a hidden column. The
    fastest of several batch sizes and of two ways to attend is taken, found out on the side.

    bench_choices.py --model smollm2-135m --items 8 --binary target/release/icl-mask [--rounds 3] [--sample 5x8]

Prints Markdown, raw numbers go to --json. Exit code: 0 all choose the same options, 1 they do not, 2 no verdict possible.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, AutoTokenizer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from bench_hf import load, weight_shapes
from choices import NEAR_TIE, Run, choice, hidden_columns
from prompts import ByteLevelBpe, Source, Unjudgeable

KERNELS = ("sdpa", "split")
SHUT = torch.finfo(torch.float32).min


@dataclass(frozen=True)
class Condition:
    series: str
    layer: int


class Count:
    """Multiply-adds of what a loop does, padding included."""

    def __init__(self, config):
        shapes = weight_shapes(config)
        twice = ("k, v", "gate, up")
        self.layers = config.num_hidden_layers
        self.layer = sum((2 if name in twice else 1) * a * b for name, (a, b) in shapes.items() if name != "vocabulary")
        self.vocabulary = shapes["vocabulary"][0] * shapes["vocabulary"][1]
        # Scores and sums of values, for each column that a row reads
        self.column = 2 * shapes["q"][1]

    def rows(self, rows, columns_of_layer, chosen):
        read = sum(columns_of_layer(layer) for layer in range(self.layers))
        return rows * (self.layers * self.layer + self.column * read) + chosen * self.vocabulary


# --- (b) -----------------------------------------------------------------------------------------------------


class Written:
    """The loop that people write."""

    BATCH = 8

    def __init__(self, model, count):
        self.model, self.count, self.from_layer, self.masked = model, count, None, None
        AttentionInterface.register("icl_mask_written", self._attention)
        AttentionMaskInterface.register("icl_mask_written", eager_mask)

    def _attention(self, module, query, key, value, attention_mask, scaling=None, **kwargs):
        if module.layer_idx >= self.from_layer:
            attention_mask = self.masked
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)

    def condition(self, items, condition):
        """-> seconds, sequences, multiply-adds, log-probabilities of each item's options"""
        self.model.set_attn_implementation("icl_mask_written")
        self.from_layer = condition.layer
        sequences = [(item, option) for item in items for option in item.options]
        begun, values, work = time.perf_counter(), [], 0
        for i in range(0, len(sequences), self.BATCH):
            some = sequences[i : i + self.BATCH]
            found, done = self._batch(some, condition.series)
            values, work = values + found, work + done
        seconds = time.perf_counter() - begun
        n = len(items[0].options)
        return seconds, len(sequences), work, [values[i : i + n] for i in range(0, len(values), n)]

    def _batch(self, sequences, series):
        tokens = [item.prompt + option for item, option in sequences]
        width = max(map(len, tokens))
        ids = torch.tensor([t + [0] * (width - len(t)) for t in tokens])
        causal = torch.ones(width, width, dtype=torch.bool).tril()
        shown = torch.ones(len(tokens), 1, width, dtype=torch.bool)
        for i, (item, _) in enumerate(sequences):
            shown[i, 0, list(hidden_columns(item.segments, series))] = False
        plain, self.masked = (
            torch.zeros(mask.shape).masked_fill(~mask, SHUT)[:, None]
            for mask in (causal[None].expand(len(tokens), -1, -1), causal & shown)
        )
        logits = self.model(ids, attention_mask=plain, use_cache=False).logits
        found = []
        for row, (item, option) in zip(logits, sequences):
            first = len(item.prompt) - 1
            logprobs = torch.log_softmax(row[first : first + len(option)], dim=-1)
            found.append(float(logprobs.gather(1, torch.tensor(option)[:, None]).sum()))
        return found, self.count.rows(ids.numel(), lambda _: width, ids.numel())


# --- (c) -----------------------------------------------------------------------------------------------------


class Tuned:
    """The loop as somebody careful would write it."""

    def __init__(self, model, count):
        self.model, self.count = model, count
        AttentionInterface.register("icl_mask_choices", self._attention)
        AttentionMaskInterface.register("icl_mask_choices", eager_mask)

    def prepare(self, items):
        """The common context's keys and values -> seconds, multiply-adds"""
        self.model.set_attn_implementation("sdpa")
        first = items[0].segments
        self.n_context, self.n_instructions = first["query"][0], first["instructions"][1]
        ids = items[0].prompt[: self.n_context]
        if any(item.prompt[: self.n_context] != ids for item in items):
            raise Unjudgeable("the prompts do not begin alike")
        if any(len(option) != 1 for item in items for option in item.options):
            raise Unjudgeable("the tuned loop knows options of one token only")
        begun = time.perf_counter()
        cache = self.model.model(torch.tensor([ids]), use_cache=True).past_key_values
        self.context = [(layer.keys, layer.values) for layer in cache.layers]
        seconds = time.perf_counter() - begun
        # [kv heads, width, columns] and [kv heads, columns, width]
        self.shared = [(k[0].transpose(1, 2).contiguous(), v[0].contiguous()) for k, v in self.context]
        return seconds, self.count.rows(self.n_context, lambda _: self.n_context, 0)

    def columns(self, layer):
        """How many columns of the context a layer reads; they are its first ones."""
        if layer < self.condition_now.layer:
            return self.n_context
        return {"none": self.n_context, "FTF": self.n_instructions, "TTF": 0}[self.condition_now.series]

    def condition(self, items, condition, batch, kernel):
        """-> seconds, passes, multiply-adds, log-probabilities of each item's options"""
        self.model.set_attn_implementation("icl_mask_choices")
        self.condition_now, self.kernel = condition, kernel
        begun, values, work = time.perf_counter(), {}, 0
        # Prompts of one length together, so that little is padded.
        order = sorted(range(len(items)), key=lambda i: len(items[i].prompt))
        for i in range(0, len(order), batch):
            some = order[i : i + batch]
            found, done = self._batch([items[j] for j in some])
            values.update(zip(some, found))
            work += done
        return time.perf_counter() - begun, len(items), work, [values[i] for i in range(len(items))]

    def _batch(self, items):
        own = [item.prompt[self.n_context :] for item in items]
        width = max(map(len, own))
        ids = torch.tensor([t + [0] * (width - len(t)) for t in own])
        positions = torch.arange(self.n_context, self.n_context + width)[None]
        config = self.model.config
        groups = config.num_attention_heads // config.num_key_value_heads
        # Padding is on the right, so that causality hides it. Query heads that share a key are stacked as rows.
        causal = torch.zeros(width, width).masked_fill(~torch.ones(width, width, dtype=torch.bool).tril(), SHUT)
        self.own = causal.repeat(groups, 1)
        self.biases = {}
        states = self.model.model(
            ids, attention_mask=causal[None, None], position_ids=positions, use_cache=False
        ).last_hidden_state
        last = states[torch.arange(len(items)), torch.tensor([len(t) - 1 for t in own])]
        logits = self.model.lm_head(last)
        total = logits.logsumexp(dim=-1)
        found = [[float(row[o[0]] - t) for o in item.options] for row, t, item in zip(logits, total, items)]
        return found, self.count.rows(ids.numel(), lambda layer: self.columns(layer) + width, len(items))

    def _attention(self, module, query, key, value, attention_mask, scaling, **kwargs):
        n, heads, rows, width = query.shape
        packed = query.reshape(n, key.shape[1], -1, width)
        layer = module.layer_idx
        read = self.columns(layer)
        if read and self.kernel == "split":
            out = self._split(layer, packed * scaling, key, value, read)
        else:
            if read:
                before = [x[:, :, :read].expand(n, -1, -1, -1) for x in self.context[layer]]
                key, value = (torch.cat(pair, dim=2) for pair in zip(before, (key, value)))
            if read not in self.biases:
                self.biases[read] = torch.cat([torch.zeros(self.own.shape[0], read), self.own], dim=1)
            out = scaled_dot_product_attention(packed, key, value, attn_mask=self.biases[read], scale=scaling)
        return out.reshape(n, heads, rows, width).transpose(1, 2), None

    def _split(self, layer, query, key, value, read):
        """All sequences' queries with the context in one product"""
        shared_key, shared_value = self.shared[layer]
        n, kv_heads, rows, width = query.shape
        together = query.transpose(0, 1).reshape(kv_heads, n * rows, width)
        own = (query @ key.transpose(2, 3)).add_(self.own)
        own = own.transpose(0, 1).reshape(kv_heads, n * rows, -1)
        weights = torch.cat([together @ shared_key[..., :read], own], dim=2).softmax(dim=2)
        context = weights[..., :read] @ shared_value[:, :read]
        own = weights[..., read:].view(kv_heads, n, rows, -1).transpose(0, 1) @ value
        return context.view(kv_heads, n, rows, width).transpose(0, 1) + own


# --- All of it -----------------------------------------------------------------------------------------------


def sweep(args, folder, threads):
    """One run of icl-mask -> seconds, its multiply-adds"""
    shutil.rmtree(folder, ignore_errors=True)
    command = [args.binary, "run", "--model", args.model, "--task", args.task, "--mask", "none,TTF,FTF", "--from-layer", "all",
               "--nprompts", "5", "--limit", str(args.items), "--threads", str(threads), "--results", str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unjudgeable(f"icl-mask ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    found = re.search(r"generations: ([\d.]+) (\w+) multiply-adds in ([\d.]+) (s|min)\b", done.stderr)
    if not found:
        raise Unjudgeable(f"icl-mask did not say how long it took: {done.stderr.strip()[-500:]}")
    work, unit, seconds, of = found.groups()
    scale = {"giga": 1e9, "tera": 1e12, "peta": 1e15}[unit]
    return float(seconds) * (60 if of == "min" else 1), float(work) * scale


def evenly(things, n):
    n = min(n, len(things))
    return [things[round(i * (len(things) - 1) / max(1, n - 1))] for i in range(n)]


class Verdict:
    def __init__(self):
        self.same, self.ties, self.different, self.gap = 0, 0, [], 0.0

    def add(self, where, line, values):
        mine = [option["logprob"] for option in line["options"]]
        self.gap = max(self.gap, *(abs(a - b) for a, b in zip(mine, values)))
        if choice(values) == line["chosen"]:
            self.same += 1
        elif max(values) - values[line["chosen"]] < NEAR_TIE:
            self.ties += 1
        else:
            self.different.append(where)

    def words(self):
        total = self.same + self.ties + len(self.different)
        ties = f", {self.ties} near-ties" if self.ties else ""
        return f"{self.same} of {total} choices identical{ties}, log-probabilities within {self.gap:.1e}"


def best_way(tuned, items, conditions, batches):
    """The fastest batch size and kernel, on a few conditions"""
    tried = {}
    for batch in sorted({min(b, len(items)) for b in batches}):
        for kernel in KERNELS:
            tuned.condition(items[:batch], conditions[0], batch, kernel)
            tried[batch, kernel] = sum(tuned.condition(items, c, batch, kernel)[0] for c in conditions)
    return min(tried, key=tried.get), tried


def bench(args):
    path = Path("models") / f"{args.model}.gguf"
    folder = Path(args.scratch)
    torch.set_num_threads(args.threads)
    source = Source.open(str(path))
    # The prompts are rebuilt from what a run wrote; this also warms the files.
    sweep(args, folder, args.threads)
    masked_model, _ = load(str(path))
    model = masked_model.model
    converted = AutoTokenizer.from_pretrained(str(path.parent.resolve()), gguf_file=path.name)
    (manifest,) = folder.rglob("manifest.json")
    run = Run(manifest.parent, source, converted, ByteLevelBpe(source), None)
    items, lines = run.items, {Condition(c.series, c.layer): lines for c, lines in zip(run.cells, run.lines)}
    # In the order of layers, so that a sample that is chosen evenly has low and high ones.
    conditions = sorted(lines, key=lambda c: (c.series, c.layer))
    count = Count(model.config)
    written, tuned = Written(model, count), Tuned(model, count)
    tuned.prepare(items)
    (batch, kernel), tried = best_way(tuned, items, evenly(conditions, 3), args.batch)

    n_conditions, n_items = args.sample
    sample_conditions, sample_items = evenly(conditions, n_conditions), evenly(range(len(items)), n_items)
    sequences = len(conditions) * sum(len(item.options) for item in items)
    rounds, verdicts, timed = {"a": [], "b": [], "c": []}, {"b": Verdict(), "c": Verdict()}, 0
    work = {}
    written.condition([items[i] for i in sample_items][:4], sample_conditions[0])
    for number in range(args.rounds):
        seconds, work["a"] = sweep(args, folder, args.threads)
        rounds["a"].append(seconds)

        seconds, work["c"] = tuned.prepare(items)
        for condition in conditions:
            spent, _, done, values = tuned.condition(items, condition, batch, kernel)
            seconds, work["c"] = seconds + spent, work["c"] + done
            for i, found in enumerate(values):
                verdicts["c"].add((condition, items[i].name), lines[condition][i], found)
        rounds["c"].append(seconds)

        seconds, timed, done_b = 0.0, 0, 0
        for condition in sample_conditions:
            spent, n, done, values = written.condition([items[i] for i in sample_items], condition)
            seconds, timed, done_b = seconds + spent, timed + n, done_b + done
            for i, found in zip(sample_items, values):
                verdicts["b"].add((condition, items[i].name), lines[condition][i], found)
        rounds["b"].append(seconds * sequences / timed)
        work["b"] = done_b * sequences / timed
        print(f"  round {number + 1}: " + ", ".join(f"({k}) {v[-1]:.1f} s" for k, v in rounds.items()), file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    lengths = [len(item.prompt) for item in items]
    return {
        "model": args.model, "task": args.task, "items": len(items), "conditions": len(conditions), "sequences": sequences,
        "prompt tokens": [min(lengths), max(lengths)], "context tokens": tuned.n_context, "threads": args.threads,
        "seconds": rounds, "multiply-adds": work, "sequences timed for b": timed,
        "sample": {"conditions": [f"{c.series} {c.layer}" for c in sample_conditions], "items": len(sample_items)},
        "batch": batch, "kernel": kernel, "tried": {f"{b} {k}": s for (b, k), s in tried.items()},
        "verdicts": {k: v.words() for k, v in verdicts.items()},
        "different": {k: [str(where) for where in v.different] for k, v in verdicts.items()},
        "versions": f"transformers {transformers.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        "load average at the end": os.getloadavg()[0],
    }  # fmt: skip


def words(r):
    def cell(values):
        middle = statistics.median(values)
        return f"{middle:.1f}" if len(values) == 1 else f"{middle:.1f} ({min(values):.1f} to {max(values):.1f})"

    ratio = {k: [x / a for x, a in zip(v, r["seconds"]["a"])] for k, v in r["seconds"].items()}
    names = {
        "a": "(a) icl-mask",
        "b": f"(b) the loop that people write, batch {Written.BATCH} (scaled)",
        "c": f"(c) tuned, batch {r['batch']}, {r['kernel']}",
    }
    lines = [
        f"{r['model']}, task `{r['task']}`: {r['conditions']} conditions x {r['items']} items x "
        f"{r['sequences'] // r['conditions'] // r['items']} options = {r['sequences']} options weighed; prompts of "
        f"{r['prompt tokens'][0]} to {r['prompt tokens'][1]} tokens, of which {r['context tokens']} are common to all; "
        f"{r['threads']} threads, float32; medians of {len(r['seconds']['a'])} rounds.", "",
        "| | seconds | times icl-mask's | tera multiply-adds | times icl-mask's | GFLOP/s |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for k, name in names.items():
        work, seconds = r["multiply-adds"][k], statistics.median(r["seconds"][k])
        more = f"{statistics.median(ratio[k]):.2f}" if k != "a" else ""
        times = f"{work / r['multiply-adds']['a']:.2f}" if k != "a" else ""
        speed = 2 * work / seconds / 1e9
        lines.append(f"| {name} | {cell(r['seconds'][k])} | {more} | {work / 1e12:.3f} | {times} | {speed:.0f} |")
    lines += ["",
        f"(b) was timed on {r['sequences timed for b']} of {r['sequences']} sequences, {r['sample']['items']} items in each "
        f"of these conditions: {', '.join(r['sample']['conditions'])}; its seconds and multiply-adds are scaled by the number of "
        "sequences.",
        f"(b): {r['verdicts']['b']}. (c): {r['verdicts']['c']}.",
        f"{r['versions']}; load average at the end {r['load average at the end']:.1f}.",
    ]  # fmt: skip
    return "\n".join(lines)


def sample(text):
    conditions, items = text.split("x")
    return int(conditions), int(items)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="smollm2-135m", help="a name in models/")
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--task", default="reviews")
    parser.add_argument("--binary", default="target/release/icl-mask")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch", type=lambda s: [int(x) for x in s.split(",")], default=[4, 8, 16, 32, 64], help="sizes to try")
    parser.add_argument("--sample", type=sample, default=(5, 8), help="conditions x items that (b) is timed on (5x8)")
    parser.add_argument("--scratch", default="target/bench/choices", help="icl-mask's results, removed afterwards")
    parser.add_argument("--json", help="raw numbers")
    args = parser.parse_args()
    try:
        with torch.no_grad():
            result = bench(args)
    except Unjudgeable as mistake:
        print(f"bench: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 2
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(words(result))
    for k, places in result["different"].items():
        for where in places[:20]:
            print(f"- ({k}) chooses otherwise: {where}")
    return 1 if any(result["different"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
