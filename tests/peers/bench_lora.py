#!/usr/bin/env python3
"""`icl-mask lora` against a loop over layers with PEFT and transformers: times, losses, outputs. Run by bin/bench-lora.sh.

    bench_lora.py --model smollm2-135m --binary target/release/icl-mask [--layers 8,22] [--train-size 400] [--epochs 3] ...

Both train an adapter at each of the layers with the study's settings (the defaults of `icl-mask lora`) on the same pairs in
the same order, keep the one of the best epoch by the dev loss, and test it, and the model as it is, on the same items,
greedily. icl-mask is one process with its loading. The loop is what somebody careful would write: float32, sdpa, the base
model loaded once, an adapter attached and removed a layer, only the adapter with gradients (so that autograd stops at the
adapted layer), batches in pieces of similar lengths padded to the longest, no gradients for the dev loss, which is computed
once for all layers before training, generation in batches with the cache and until the first line's end. Sizes of pieces and
batches are the fastest of some, tried before. With `--plain` it is the loop as it is mostly written instead, with nothing
tuned: the texts of a step as they come, padded to the longest of them, in one piece, and 32 generations at a time.

Half of the loop's layers come before icl-mask's process and half after it, every second round the other way round; medians
are reported. The losses differ by dropout's random numbers. Seconds of one layer are a line in the number of layers above
it; all layers are extrapolated from that. Prints Markdown; raw numbers go to target/bench/lora-MODEL.json (lora-MODEL-plain.json). Exit code 0:
losses and the model's own outputs agree; 1: they do not; 2: no verdict possible.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from statistics import median

import numpy as np
import peft
import torch
import transformers
from transformers import get_linear_schedule_with_warmup

from bench import WORK, Failed, command, cpu, say
from lora import DATA, DIRECTION, FORMAT, SEED, begin, ids_of, lines, order, padded, question, read_pairs, table, trained_ones
from parity import NEAR_TIE, MaskedModel
from prompts import ByteLevelBpe, Source, Unjudgeable

# What configs/experiments/default-lora.yaml says; compared with the run's own word.
STUDY = {"projections": ["o"], "rank": 8, "alpha": 32.0, "dropout": 0.05, "learning_rate": 1e-4, "weight_decay": 0.0,
         "max_grad_norm": 1.0, "batch": 32, "patience": 1, "loss_on": "whole"}  # fmt: skip
PIECES, GENERATED = (32, 16, 8, 4), (16, 32, 64, 128)
PLAIN_GENERATED = 32
# Of the loop's memory for logits, their gradient and what lies between, a share of what is free.
COPIES, SHARE = 4, 0.5
# Dev losses before training, and after it, where dropout has other random numbers on each side.
BEFORE, AFTER = 1e-4, 1e-2


def free_bytes():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024


class Loop:
    """The peer."""

    def __init__(self, args, settings):
        self.args, self.settings, self.source = args, settings, Source.open(f"models/{args.model}.gguf")
        begun = time.perf_counter()
        self.model = MaskedModel(self.source).model
        self.load_seconds = time.perf_counter() - begun
        self.model.set_attn_implementation("sdpa")
        bpe = ByteLevelBpe(self.source)
        eos = self.source.meta["tokenizer.ggml.eos_token_id"]
        self.texts = {split: [ids_of(bpe, pair, eos) for pair in read_pairs(split, settings[f"{split}_size"])]
                      for split in ("train", "dev")}  # fmt: skip
        self.prompts = [bpe.encode(question(source)) for _, source, _ in read_pairs("devtest", args.limit)]
        # Where icl-mask's generations end as well.
        self.ends = [i for i, token in enumerate(bpe.tokens) if token in ("<|endoftext|>", "<|im_end|>")]
        self.ends += [i for i in range(len(bpe.tokens)) if b"\n" in spelled(bpe, i)]
        self.layers, self.piece, self.generated = self.model.config.num_hidden_layers, None, None
        # Dev loss before training, which no layer changes, and its seconds.
        self.unchanged = None

    # --- Parts ---

    def fits(self, texts):
        return COPIES * 4 * len(texts) * max(map(len, texts)) * self.model.config.vocab_size <= SHARE * free_bytes()

    def pieces(self, texts, size):
        """Texts of similar lengths together, so that little is padded, unless it is the plain loop; fewer where memory does
        not suffice."""
        texts = list(texts) if self.args.plain else sorted(texts, key=len)
        while texts:
            n = min(size, len(texts))
            while n > 1 and not self.fits(texts[:n]):
                n = (n + 1) // 2
            yield texts[:n]
            texts = texts[n:]

    def backward(self, model, texts, size):
        """-> the loss per token of a batch"""
        count = sum(len(ids) - 1 for ids in texts)
        total = 0.0
        for some in self.pieces(texts, size):
            loss = model(**padded(some), use_cache=False, num_items_in_batch=count).loss
            loss.backward()
            total += loss.item()
        return total

    @torch.no_grad()
    def dev_loss(self, model):
        texts = self.texts["dev"]
        count, batch = sum(len(ids) - 1 for ids in texts), self.settings["batch"]
        total = 0.0
        for i in range(0, len(texts), batch):
            for some in self.pieces(texts[i : i + batch], self.piece):
                total += model(**padded(some), use_cache=False, num_items_in_batch=count).loss.item()
        return total

    def train(self, model):
        s, seconds = self.settings, {"training": 0.0, "dev": 0.0}
        arrays = list(trained_ones(model).values())
        steps = -(-s["train_size"] // s["batch"]) * s["epochs"]
        optimizer = torch.optim.AdamW(arrays, lr=s["learning_rate"], weight_decay=s["weight_decay"])
        schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
        losses = []
        if self.unchanged is None:
            begun = time.perf_counter()
            self.unchanged = (self.dev_loss(model), time.perf_counter() - begun)
        dev, best, kept = [self.unchanged[0]], 0, [array.detach().clone() for array in arrays]
        for epoch in range(1, s["epochs"] + 1):
            begun = time.perf_counter()
            model.train()
            pairs = order(SEED, epoch, s["train_size"])
            for i in range(0, len(pairs), s["batch"]):
                optimizer.zero_grad()
                texts = [self.texts["train"][pair] for pair in pairs[i : i + s["batch"]]]
                losses.append(self.backward(model, texts, self.piece))
                torch.nn.utils.clip_grad_norm_(arrays, s["max_grad_norm"])
                optimizer.step()
                schedule.step()
            model.eval()
            middle = time.perf_counter()
            dev.append(self.dev_loss(model))
            if dev[-1] < dev[best]:
                best, kept = epoch, [array.detach().clone() for array in arrays]
            seconds["training"] += middle - begun
            seconds["dev"] += time.perf_counter() - middle
            if epoch - best >= s["patience"]:
                break
        for array, values in zip(arrays, kept, strict=True):
            array.data.copy_(values)
        return {"losses": losses, "dev_losses": dev, "best_epoch": best, "seconds": seconds}

    @torch.no_grad()
    def test(self, model, prompts, size):
        """-> seconds, tokens of each prompt, up to where it ends"""
        begun, found = time.perf_counter(), {}
        items = list(range(len(prompts))) if self.args.plain else sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for i in range(0, len(prompts), size):
            some = items[i : i + size]
            n = max(len(prompts[j]) for j in some)
            padding = [n - len(prompts[j]) for j in some]
            ids = torch.tensor([[0] * pad + prompts[j] for pad, j in zip(padding, some, strict=True)])
            mask = torch.tensor([[0] * pad + [1] * (n - pad) for pad in padding])
            made = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=self.args.new_tokens, do_sample=False,
                repetition_penalty=1.0, eos_token_id=self.ends, pad_token_id=0, use_cache=True,
            )  # fmt: skip
            found.update(zip(some, (self.ended(row) for row in made[:, n:].tolist()), strict=True))
        return time.perf_counter() - begun, [found[i] for i in range(len(prompts))]

    def ended(self, tokens):
        end = next((i + 1 for i, token in enumerate(tokens) if token in self.ends), len(tokens))
        return tokens[:end]

    # --- What is fastest ---

    def probe(self):
        if self.args.plain:
            self.piece, self.generated = self.settings["batch"], min(PLAIN_GENERATED, len(self.prompts))
            return None
        tried, batch = {"pieces": {}, "generated": {}}, self.texts["train"][: self.settings["batch"]]
        model = begin(self.model, self.layers // 2, self.settings).train()
        self.backward(model, batch[:4], 4)
        for size in (n for n in PIECES if n <= len(batch) or n == PIECES[-1]):
            begun = time.perf_counter()
            self.backward(model, batch, size)
            tried["pieces"][size] = time.perf_counter() - begun
            say(f"  PEFT, a step of {len(batch)} pairs, {size} at a time: {tried['pieces'][size]:.2f} s")
        model.unload()
        for size in sorted({min(n, len(self.prompts)) for n in GENERATED}):
            seconds, _ = self.test(self.model, self.prompts[:size], size)
            tried["generated"][size] = seconds / size
            say(f"  transformers, {size} generations at a time: {seconds / size:.3f} s each")
        self.piece, self.generated = (min(times, key=times.get) for times in tried.values())
        return tried

    # --- One layer ---

    def layer(self, layer):
        model = begin(self.model, layer, self.settings)
        found = self.train(model)
        found["seconds"]["test"], tokens = self.test(model, self.prompts, self.generated)
        model.unload()
        found["seconds"]["all"] = sum(found["seconds"].values())
        return found | {"generated_tokens": sum(map(len, tokens))}

    @torch.no_grad()
    def warm(self):
        """After some time of waiting, before anything is timed."""
        self.model(**padded(self.texts["dev"][:4] or self.texts["train"][:4]), use_cache=False)

    def baseline(self):
        seconds, tokens = self.test(self.model, self.prompts, self.generated)
        return {"seconds": seconds, "tokens": tokens}

    @torch.no_grad()
    def lead(self, prompt, before, theirs, ours):
        """By how much it prefers its own token."""
        logits = self.model(torch.tensor([prompt + before]), use_cache=False).logits[0, -1]
        return float(logits[theirs] - logits[ours])


def spelled(bpe, token):
    try:
        return bpe.token_bytes(token)
    except KeyError:
        return b""


class Bench:
    def __init__(self, args):
        self.args, self.layers = args, [int(n) for n in args.layers.split(",")]
        sizes = {"train_size": args.train_size, "dev_size": args.dev_size, "epochs": args.epochs}
        self.settings = STUDY | sizes | {"dropout": args.dropout, "batch": min(STUDY["batch"], args.train_size)}
        self.raw = {
            "model": args.model, "measured_layers": self.layers, "settings": self.settings, "items": args.limit,
            "new_tokens": args.new_tokens, "threads": torch.get_num_threads(), "torch": torch.__version__,
            "transformers": transformers.__version__, "peft": peft.__version__, "cpu": cpu(), "ours": [], "peft_layers": [],
            "peft_baselines": [], "peft_before_seconds": [], "failures": [],
        }  # fmt: skip

    def fail(self, what):
        say(f"FAILED: {what}")
        self.raw["failures"].append(what)

    def ours(self):
        s = self.settings
        with tempfile.TemporaryDirectory(dir=WORK) as results:
            words = [self.args.binary, "lora", "--model", self.args.model, "--data", DATA, "--direction", DIRECTION,
                     "--format", FORMAT, "--seed", SEED, "--layers", self.args.layers, "--limit", self.args.limit,
                     "--max-new-tokens", self.args.new_tokens, "--train-size", s["train_size"], "--dev-size", s["dev_size"],
                     "--epochs", s["epochs"], "--train-batch", s["batch"], "--dropout", s["dropout"],
                     "--results", results, "--json"]  # fmt: skip
            out, wall, peak, _ = command([str(word) for word in words])
            scores = [json.loads(line) for line in out.splitlines()]
            folder = Path(scores[0]["path"]).parent.parent
            said = json.loads((folder / "manifest.json").read_text())["settings"]["lora"]
            logs = {layer: json.loads((folder / "lora" / f"layer-{layer}" / "training.json").read_text())
                    for layer in self.layers}  # fmt: skip
            tokens = [line["tokens"] for line in lines(folder / "none" / "baseline.jsonl")]
        wrong = {name: (said.get(name), value) for name, value in s.items() if name in said and said[name] != value}
        if wrong:
            raise Unjudgeable(f"icl-mask has other settings: {wrong}")
        self.all_layers = scores[0]["n_layers"]
        found = {"wall": wall, "peak_gib": peak, "baseline_seconds": 0.0, "baseline_tokens": tokens, "layers": {}}
        for score in scores:
            if score["mask"] == "none":
                found["baseline_seconds"] = score["seconds"]
                continue
            log, seconds = logs[score["from_layer"]], logs[score["from_layer"]]["seconds"]
            found["layers"][score["from_layer"]] = {
                "training": seconds, "test": score["seconds"], "all": seconds + score["seconds"],
                "losses": [step["loss"] for step in log["steps"]], "dev_losses": log["dev_losses"],
                "best_epoch": log["best_epoch"], "generated_tokens": score["generated_tokens"], "tokens": log["tokens"],
            }  # fmt: skip
        parts = found["baseline_seconds"] + sum(part["all"] for part in found["layers"].values())
        # Loading, tokenizing, the dev loss before training, and the layers below the adapted ones: once for all.
        found["rest"] = wall - parts
        self.raw["ours"].append(found)
        say(f"  icl-mask, layers {self.args.layers}: {wall:.1f} s")

    def theirs(self, layers, found):
        for layer in layers:
            found[layer] = self.loop.layer(layer)
            parts = ", ".join(f"{name} {value:.1f}" for name, value in found[layer]["seconds"].items())
            say(f"  PEFT, layer {layer}: {parts} s")
            self.save()

    def baseline(self):
        found = self.loop.baseline()
        self.raw["peft_baselines"].append(found)
        say(f"  transformers, the model as it is: {found['seconds']:.1f} s")

    def run(self):
        say(f"loading models/{self.args.model}.gguf into transformers")
        self.loop = Loop(self.args, self.settings | {"seed": SEED})
        self.raw["peft_load_seconds"] = self.loop.load_seconds
        if max(self.layers) >= self.loop.layers or min(self.layers) < 0 or len(set(self.layers)) != len(self.layers):
            raise Unjudgeable(f"--layers: some of 0 to {self.loop.layers - 1}")
        self.raw["probe"] = self.loop.probe()
        for turn in range(self.args.rounds):
            say(f"round {turn + 1} of {self.args.rounds}")
            layers = self.layers if turn % 2 == 0 else self.layers[::-1]
            half = (len(layers) + 1) // 2
            self.raw["peft_layers"].append({})
            self.loop.unchanged = None
            self.theirs(layers[:half], self.raw["peft_layers"][-1])
            self.ours()
            self.loop.warm()
            self.baseline()
            self.theirs(layers[half:], self.raw["peft_layers"][-1])
            self.raw["peft_before_seconds"].append(self.loop.unchanged[1])
        self.compare()
        self.save()

    # --- Do they do the same? ---

    def compare(self):
        ours, theirs = self.raw["ours"][0], self.raw["peft_layers"][0]
        for layer in self.layers:
            a, b = ours["layers"][layer], theirs[layer]
            before = abs(a["dev_losses"][0] / b["dev_losses"][0] - 1)
            ends = [x["dev_losses"][x["best_epoch"]] for x in (a, b)]
            after, first = abs(ends[0] / ends[1] - 1), abs(a["losses"][0] / b["losses"][0] - 1)
            if not (before <= BEFORE and first <= BEFORE and after <= AFTER):
                self.fail(f"layer {layer}: dev losses differ by {before:.1e} before training and {after:.1e} after it, "
                          f"the first loss by {first:.1e}")  # fmt: skip
        identical = ties = 0
        pairs = zip(ours["baseline_tokens"], self.raw["peft_baselines"][0]["tokens"], strict=True)
        for i, (a, b) in enumerate(pairs):
            identical += a == b
            if a != b:
                at = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), None)
                lead = float("inf") if at is None else self.loop.lead(self.loop.prompts[i], a[:at], b[at], a[at])
                ties += lead < NEAR_TIE
                if not lead < NEAR_TIE:
                    self.fail(f"the model as it is, item {i}: token {at} differs, by {lead:.1e}")
        self.raw["baseline_generations"] = {"identical": identical, "near_ties": ties, "of": len(self.loop.prompts)}

    def save(self):
        path = f"{WORK}/lora-{self.args.model}{'-plain' if self.args.plain else ''}.json"
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.raw, file, indent=1)
        os.replace(path + ".part", path)

    # --- Words ---

    def medians(self, layer):
        ours = [run["layers"][layer] for run in self.raw["ours"]]
        theirs = [run[layer]["seconds"] for run in self.raw["peft_layers"]]
        return ({part: median(x[part] for x in ours) for part in ("training", "test", "all")},
                {part: median(x[part] for x in theirs) for part in ("training", "dev", "test", "all")})  # fmt: skip

    def once(self):
        """Seconds of what is done once: of icl-mask its test of the model as it is, and the rest, the dev loss before
        training in it; of the loop both of these and loading."""
        ours = [median(run[what] for run in self.raw["ours"]) for what in ("baseline_seconds", "rest")]
        theirs = [median(run["seconds"] for run in self.raw["peft_baselines"]), median(self.raw["peft_before_seconds"]),
                  self.loop.load_seconds]  # fmt: skip
        return ours, theirs

    def all_of_them(self):
        """Minutes of all layers of both, by a line each, and what is done once."""
        n = self.all_layers
        above = [n - layer for layer in self.layers]
        lines_of = []
        for who in range(2):
            seconds = [self.medians(layer)[who]["all"] for layer in self.layers]
            lines_of.append(np.polyfit(above, seconds, 1))
            if lines_of[-1][0] <= 0:
                say("more layers above took less time: something else was running, and the extrapolation says nothing")
        sums = [float(sum(np.polyval(line, n - layer) for layer in range(n))) for line in lines_of]
        (baseline, rest), theirs = self.once()
        # As if all of the rest were the layers below the last adapted one, which is too much.
        sums[0] += baseline + rest * max(1.0, (n - 1) / max(1, *self.layers))
        sums[1] += sum(theirs)
        self.raw["all_layers"] = {
            "layers": n, "minutes": [seconds / 60 for seconds in sums], "ratio": sums[1] / sums[0],
            "lines": [[float(x) for x in line] for line in lines_of],
        }  # fmt: skip
        return self.raw["all_layers"]

    def markdown(self):
        raw, s, args = self.raw, self.settings, self.args
        wall = median(run["wall"] for run in raw["ours"])
        each = [self.medians(layer) for layer in self.layers]
        (baseline, rest), once = self.once()
        loop = sum(theirs["all"] for _, theirs in each) + sum(once)
        parts = [
            f"{args.model}, {DATA} {DIRECTION}, {s['train_size']} pairs, {s['epochs']} epochs, batch {s['batch']}, dev loss of "
            f"{s['dev_size']} pairs after each epoch, and once before training, {args.limit} test items of {args.new_tokens} "
            f"tokens at most; {raw['cpu']}; PEFT {raw['peft']}, transformers {raw['transformers']}, torch {raw['torch']}, "
            f"{'plain' if args.plain else 'tuned'} loop with {self.loop.piece} texts and {self.loop.generated} generations at "
            f"a time; rounds: {args.rounds}.",
            "Seconds:",
        ]
        rows = []
        for layer, (ours, theirs) in zip(self.layers, each, strict=True):
            both = theirs["training"] + theirs["dev"]
            rows.append([layer, *(f"{x:.1f}" for x in (ours["training"], ours["test"], ours["all"], theirs["training"],
                         theirs["dev"], theirs["test"], theirs["all"])), f"{both / ours['training']:.2f}",
                         f"{theirs['test'] / ours['test']:.2f}", f"{theirs['all'] / ours['all']:.2f}"])  # fmt: skip
        head = ["layer", "icl-mask: training and dev loss", "test", "all", "PEFT: training", "dev loss", "test", "all",
                "times, training and dev loss", "times, test", "times, all"]  # fmt: skip
        parts.append(table(head, rows))
        parts.append(
            f"All with what is done once: icl-mask {wall:.1f} s, the whole process (of it the test of the model as it is "
            f"{baseline:.1f} s, loading, the dev loss before training and the layers below {rest:.1f} s; "
            f"peak {raw['ours'][0]['peak_gib']:.2f} GiB), PEFT {loop:.1f} s (that test {once[0]:.1f} s, that dev loss "
            f"{once[1]:.1f} s, loading {once[2]:.1f} s), {loop / wall:.2f} times."
        )
        rows = []
        for layer in self.layers:
            a, b = raw["ours"][0]["layers"][layer], raw["peft_layers"][0][layer]
            rows.append([layer, *(" ".join(f"{x:.4f}" for x in found["dev_losses"]) for found in (a, b)),
                         *(f"{np.mean(found['losses']):.4f}" for found in (a, b)), a["generated_tokens"],
                         b["generated_tokens"]])  # fmt: skip
        parts.append("Losses (dropout has other random numbers on each side):")
        head = ["layer", "dev losses, icl-mask", "PEFT", "mean training loss, icl-mask", "PEFT", "generated tokens, icl-mask",
                "PEFT"]  # fmt: skip
        parts.append(table(head, rows))
        counts = raw["baseline_generations"]
        parts.append(f"Generations of the model as it is: {counts['identical']} of {counts['of']} identical, "
                     f"{counts['near_ties']} near-ties.")  # fmt: skip
        if len(self.layers) > 1:
            found = self.all_of_them()
            parts.append(f"All {found['layers']} layers, extrapolated: icl-mask {found['minutes'][0]:.1f} minutes, PEFT "
                         f"{found['minutes'][1]:.1f} minutes, {found['ratio']:.2f} times.")  # fmt: skip
        return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a name of models/*.gguf")
    parser.add_argument("--binary", required=True, help="icl-mask")
    parser.add_argument("--layers", default="8,22")
    parser.add_argument("--train-size", type=int, default=400)
    parser.add_argument("--dev-size", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=STUDY["dropout"])
    parser.add_argument("--limit", type=int, default=100, help="test items")
    parser.add_argument("--new-tokens", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="the loop as it is mostly written, nothing tuned")
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.makedirs(WORK, exist_ok=True)
    try:
        bench = Bench(args)
        bench.run()
        print(bench.markdown())
        bench.save()
    except Unjudgeable as mistake:
        print(f"bench: no verdict: {mistake}", file=sys.stderr)
        return 2
    except Failed as failed:
        say(str(failed))
        return 2
    except Exception:
        traceback.print_exc()
        return 2
    return 1 if bench.raw["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
