#!/usr/bin/env python3
"""Does icl-mask train LoRA adapters as PEFT and transformers do, and does each use the other's? Run by
bin/parity-lora.sh on a real model (GGUF, dequantised by transformers, float32, eager attention) and the corpus `nations`.

    lora.py --model smollm2-135m --binary target/release/icl-mask [--layers 3,20] [--train-size 42] ...

1. `icl-mask lora` trains an adapter at each of the layers, without dropout. PEFT trains the same: the texts are built and
   tokenized here, only the order of the pairs is taken from training.json, and checked. Losses, norms of the gradient, dev
   losses, and the adapter that is kept are compared. The largest norm is such that some steps are clipped. The loss of
   transformers' logits is computed in float64: its own sums the probabilities of all tokens in float32, one by one, which
   is off by some 1e-5 and moves gradients by 1e-4.
2. Gradients, while no command prints any. A run on one batch with seven projections, whose clipping is so tight that all
   gradients are far below AdamW's eps: then an update is proportional to the gradient. Its first step leaves A as it begins,
   which must be PEFT's to the bit, and gives B's gradient; the second one, from a B that is not zero, those of A and B.
   What PEFT gives with transformers' own loss stands beside it.
3. PEFT loads the adapters that icl-mask wrote, and generates.
4. `icl-mask run --adapter` loads what PEFT saved (the adapters trained here, and one with random numbers at all projections
   of all layers and use_rslora), and generates.

A generation of icl-mask, which stops at a line's end, counts as identical if every token is the greatest logit of PEFT's
own forward pass over what came before; one of each adapter is also made by generate(). Prints Markdown. Exit code 0: every
criterion holds; 1: at least one is missed; 2: the input cannot be judged.
"""

import argparse
import copy
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, get_linear_schedule_with_warmup

from parity import NEAR_TIE, MaskedModel, config_mistakes, same
from prompts import ByteLevelBpe, Source, Unjudgeable

DATA, DIRECTION, FORMAT, SEED = "nations", "en-fr", "instr_none_QA", 0
CORPUS = Path("data") / DATA / DIRECTION
PROJECTIONS = {part: f"self_attn.{part}_proj" for part in "qkvo"} | {
    part: f"mlp.{part}_proj" for part in ("gate", "up", "down")}  # fmt: skip
# Relative. What training changed, and the updates that show gradients, by their norms.
FIRST_LOSS, LOSSES, FIRST_NORM, NORMS, CHANGE, UPDATES = 1e-5, 1e-3, 1e-4, 1e-3, 1e-2, 1e-4
# The run that shows gradients: AdamW's eps is 1e-8.
TIGHT = {"learning_rate": 10.0, "max_grad_norm": 1e-9, "train_size": 4, "batch": 4}


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- Pairs, texts, batches -----------------------------------------------------------------------------------


def read_pairs(split, n=None):
    """[(id, source, target)]"""
    with open(CORPUS / f"{split}.tsv", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file][1:]
    if any(len(line) != 3 for line in lines):
        raise Unjudgeable(f"{split}.tsv is no table of three columns")
    return lines[:n]


def question(source):
    return f"Q:{source.strip()}\nA:"


def text_of(pair):
    return question(pair[1]) + pair[2].strip()


def ids_of(bpe, pair, eos):
    return bpe.encode(text_of(pair)) + [eos]


def padded(texts):
    """A batch of token ids, padded on the right."""
    n = max(map(len, texts))
    rest = [[0] * (n - len(ids)) for ids in texts]
    return {
        "input_ids": torch.tensor([ids + zeros for ids, zeros in zip(texts, rest)]),
        "attention_mask": torch.tensor([[1] * len(ids) + zeros for ids, zeros in zip(texts, rest)]),
        "labels": torch.tensor([ids + [-100] * len(zeros) for ids, zeros in zip(texts, rest)]),
    }


def order(seed, epoch, n):
    """Of an epoch's pairs, counted from 1: what pandas' sample draws."""
    return np.random.RandomState(seed + epoch - 1).permutation(n).tolist()


def begin(model, layer, settings):
    """A new adapter, as PEFT begins it."""
    config = LoraConfig(
        task_type="CAUSAL_LM", r=settings["rank"], lora_alpha=settings["alpha"], lora_dropout=settings["dropout"],
        bias="none", target_modules=[PROJECTIONS[part] for part in settings["projections"]], layers_to_transform=[layer],
        layers_pattern="layers")  # fmt: skip
    torch.manual_seed(settings["seed"])
    return get_peft_model(model, config).eval()


def trained_ones(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def state(model):
    """Copies, by the names that PEFT gives them in files."""
    return {name.replace(".default", ""): array.detach().clone() for name, array in trained_ones(model).items()}


# --- The Rust half -------------------------------------------------------------------------------------------


class Ours:
    """icl-mask as anybody would call it."""

    def __init__(self, args, scratch):
        self.binary, self.model, self.scratch, self.limit = args.binary, args.model, scratch, args.limit
        self.common = ["--model", args.model, "--data", DATA, "--direction", DIRECTION, "--format", FORMAT,
                       "--nprompts", "0", "--seed", str(SEED)]  # fmt: skip

    def call(self, *words):
        words = [self.binary, *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise Unjudgeable(f"{' '.join(words)} failed:\n{done.stderr}")
        return done.stdout

    def lora(self, name, layers, settings, limit, *more):
        """-> the run's folder"""
        words = ["--layers", ",".join(map(str, layers)), "--dropout", "0", "--limit", limit, *more]
        for flag, field in (("train-size", "train_size"), ("dev-size", "dev_size"), ("train-batch", "batch"),
                            ("epochs", "epochs"), ("learning-rate", "learning_rate"),
                            ("max-grad-norm", "max_grad_norm")):  # fmt: skip
            words += [f"--{flag}", settings[field]]
        words += ["--projection", ",".join(settings["projections"])]
        out = self.call("lora", *self.common, *words, "--results", self.scratch / name, "--json")
        return Path(json.loads(out.splitlines()[0])["path"]).parent.parent

    def run(self, name, adapter):
        """-> its generations with an adapter"""
        words = ["--mask", "none", "--adapter", adapter, "--limit", self.limit, "--results", self.scratch / name]
        out = self.call("run", *self.common, *words, "--json")
        return lines(Path(json.loads(out)["path"]).with_suffix(".jsonl"))

    def tokens(self, texts):
        """Token ids of texts, asked for as prompts that say nothing else."""
        items, form = self.scratch / "texts.jsonl", self.scratch / "bare.yaml"
        items.write_text("".join(json.dumps({"id": str(i), "source": text.removeprefix("Q:"), "target": "-"}) + "\n"
                                 for i, text in enumerate(texts)))  # fmt: skip
        form.write_text('header: ""\nquestion: "Q:"\nanswer: ""\nafter_target: ""\nmax_new_tokens: 1\n')
        words = ["show", "--model", self.model, "--test", items, "--direction", DIRECTION, "--format", form,
                 "--nprompts", "0", "--mask", "none", "--limit", len(texts), "--json", "--item"]  # fmt: skip
        shown = [json.loads(self.call(*words, i)) for i in range(len(texts))]
        return [(answer["prompt"], answer["tokens"]) for answer in shown]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- The judge -----------------------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.criteria = []

    def hold(self, what, held):
        self.criteria.append((what, bool(held)))
        say(f"{'ok' if held else 'MISSED':7} {what}")

    def within(self, what, gap, most):
        # A NaN is not within anything.
        self.hold(f"{what}: {gap:.1e}, at most {most:g}", gap <= most)


def gaps(ours, theirs):
    return [abs(a / b - 1) for a, b in zip(ours, theirs, strict=True)]


def apart(ours, theirs):
    """Norm of the difference as a share of the norm, and its largest number as a share of the largest."""
    gap = ours - theirs
    return float(gap.norm() / theirs.norm()), float(gap.abs().max() / theirs.abs().max())


def worst(pairs):
    """Of several tensors, each of the two."""
    return [max(column) for column in zip(*(apart(*pair) for pair in pairs), strict=True)]


def exact_loss(model, texts):
    """The mean over all tokens that are predicted."""
    batch = padded(texts)
    labels = batch.pop("labels")[:, 1:].flatten()
    logits = model(**batch, use_cache=False).logits[:, :-1].flatten(0, 1)
    return cross_entropy(logits[labels >= 0].double(), labels[labels >= 0])


def own_loss(model, texts):
    """The same as transformers has it."""
    return model(**padded(texts), use_cache=False).loss


class Peer:
    """PEFT and transformers, and the texts as they are built here."""

    def __init__(self, args):
        self.source = Source.open(f"models/{args.model}.gguf")
        self.bpe, self.model = ByteLevelBpe(self.source), MaskedModel(self.source).model
        self.eos = self.source.meta["tokenizer.ggml.eos_token_id"]
        folder, file = os.path.split(os.path.abspath(self.source.path))
        self.converted = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        self.pairs = {"train": read_pairs("train"), "dev": read_pairs("dev")}

    def ids(self, split, indices):
        return [ids_of(self.bpe, self.pairs[split][i], self.eos) for i in indices]

    def dev_loss(self, model, settings, loss_of):
        """A few texts at a time."""
        total, count = 0.0, 0
        texts = self.ids("dev", range(settings["dev_size"]))
        for i in range(0, len(texts), 4):
            some = texts[i : i + 4]
            n = sum(len(ids) - 1 for ids in some)
            with torch.no_grad():
                total, count = total + loss_of(model, some).item() * n, count + n
        return total / max(1, count)

    def train(self, layer, settings, batches, loss_of=exact_loss):
        """What training.json says, the adapter as it begins and after each epoch, and the model."""
        model = begin(self.model, layer, settings)
        arrays = list(trained_ones(model).values())
        steps = -(-settings["train_size"] // settings["batch"]) * settings["epochs"]
        optimizer = torch.optim.AdamW(
            arrays, lr=settings["learning_rate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=settings["weight_decay"]
        )
        schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
        found = {"losses": [], "norms": [], "rates": [], "dev_losses": [self.dev_loss(model, settings, loss_of)]}
        states = [state(model)]
        for epoch in batches:
            for indices in epoch:
                optimizer.zero_grad()
                loss = loss_of(model, self.ids("train", indices))
                loss.backward()
                found["losses"].append(loss.item())
                found["norms"].append(torch.nn.utils.clip_grad_norm_(arrays, settings["max_grad_norm"]).item())
                found["rates"].append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
            found["dev_losses"].append(self.dev_loss(model, settings, loss_of))
            states.append(state(model))
        return found, states, model

    def save(self, model, arrays, folder):
        """An adapter with these numbers, as PEFT saves it."""
        for name, parameter in trained_ones(model).items():
            parameter.data.copy_(arrays[name.replace(".default", "")])
        # Else PEFT stores the folder of the model.
        model.peft_config["default"].base_model_name_or_path = "base"
        model.save_pretrained(folder, save_embedding_layers=False)

    def drawn(self, folder):
        """An adapter at every projection of every layer, which changes what is generated."""
        config = LoraConfig(
            task_type="CAUSAL_LM", r=4, lora_alpha=6, use_rslora=True, init_lora_weights=False,
            target_modules=list(PROJECTIONS.values()))  # fmt: skip
        model = get_peft_model(self.model, config).eval()
        torch.manual_seed(1)
        self.save(model, {n: 0.02 * torch.randn(array.shape) for n, array in state(model).items()}, folder)
        return model

    def logits(self, model, prompt, tokens):
        """What each token of a generation was chosen from, by one pass over all of it."""
        ids = torch.tensor([self.bpe.encode(prompt) + tokens])
        with torch.no_grad():
            return model(ids, use_cache=False).logits[0, -len(tokens) - 1 : -1]

    def generate(self, model, prompt, n):
        ids = torch.tensor([self.bpe.encode(prompt)])
        made = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False, repetition_penalty=1.0
        )
        return made[0, ids.shape[1] :].tolist()


class Judge:
    def __init__(self, args, scratch):
        self.args, self.layers = args, [int(layer) for layer in args.layers.split(",")]
        self.scratch, self.ours, self.report = scratch, Ours(args, scratch), Report()
        self.settings = {
            "train_size": args.train_size, "dev_size": args.dev_size, "batch": args.train_batch, "epochs": args.epochs,
            "learning_rate": args.learning_rate, "max_grad_norm": args.max_grad_norm, "weight_decay": 0.0, "rank": 8,
            "alpha": 32.0, "dropout": 0.0, "projections": ["o"], "seed": SEED, "patience": 1,
        }  # fmt: skip
        self.generations = []

    # --- Texts ---

    def check_texts(self, folder):
        settings, lora, report = self.settings, self.manifest["settings"]["lora"], self.report
        wrong = {name: (lora.get(name), value) for name, value in settings.items() if name in lora and lora[name] != value}
        report.hold(f"settings are those of the run {wrong or ''}".rstrip(), not wrong)
        used = self.peer.pairs["train"][: settings["train_size"]] + self.peer.pairs["dev"][: settings["dev_size"]]
        digest = hashlib.sha256()
        for text in (text.encode() for pair in used for text in pair):
            digest.update(len(text).to_bytes(8, "little") + text)
        report.hold("pairs are those of the run", digest.hexdigest() == lora["pairs_sha256"])
        texts = [text_of(pair) for pair in used] + [question(item["source"]) for item in self.items]
        bpe, n = self.peer.bpe, len(texts)
        shown = self.ours.tokens(texts)
        equal = sum(shown[i] == (texts[i], bpe.encode(texts[i])) for i in range(n))
        plain = sum(bpe.encode_plainly(text) == bpe.encode(text) for text in texts)
        converted = sum(bpe.bos + self.peer.converted(t, add_special_tokens=False)["input_ids"] == bpe.encode(t)
                        for t in texts)  # fmt: skip
        counts = [len(bpe.encode(question(item["source"]))) for item in self.items]
        stated = [line["prompt_tokens"] for line in lines(folder / "none" / "baseline.jsonl")]
        report.hold(f"token ids of all texts identical: {equal} of {n}, {plain} without the library", equal == plain == n)
        report.hold("prompts have as many tokens as the run says", counts == stated)
        # Said, not judged: it leaves out the split of digits.
        self.texts = f"{equal}/{n} ({converted}/{n} by transformers' own conversion of the tokenizer)"

    # --- Training ---

    def log_of(self, folder, layer):
        log = json.loads((folder / "lora" / f"layer-{layer}" / "training.json").read_text())
        batches = {}
        for step in log["steps"]:
            batches.setdefault(step["epoch"], []).append(step["pairs"])
        return log, list(batches.values())

    def check_order(self, layer, log, batches, settings):
        drawn = [order(SEED, epoch + 1, settings["train_size"]) for epoch in range(len(batches))]
        sizes = [len(step) for epoch in batches for step in epoch]
        full, rest = divmod(settings["train_size"], settings["batch"])
        wanted = ([settings["batch"]] * full + [rest] * (rest > 0)) * len(batches)
        read = [[pair for step in epoch for pair in step] for epoch in batches]
        self.report.hold(f"layer {layer}: order and sizes of the batches", read == drawn and sizes == wanted)
        rows = sum(len(ids) for epoch in read for ids in self.peer.ids("train", epoch))
        # The dev loss before training is the same at all layers, computed once, and in no layer's log.
        passes = len(log["dev_losses"]) - 1
        dev = passes * sum(map(len, self.peer.ids("dev", range(settings["dev_size"]))))
        self.report.hold(f"layer {layer}: tokens seen {log['tokens']}", log["tokens"] == [rows, dev])

    def check_training(self, folder, layer):
        settings, report, head = self.settings, self.report, f"layer {layer}"
        log, batches = self.log_of(folder, layer)
        self.check_order(layer, log, batches, settings)
        theirs, states, model = self.peer.train(layer, settings, batches)
        best, dev = log["best_epoch"], theirs["dev_losses"]
        saved = load_file(folder / "lora" / f"layer-{layer}" / "adapter_model.safetensors")
        names, steps = set(saved) == set(states[0]), len(log["steps"])
        report.hold(f"{head}: modules of the adapter", names)
        if not names:
            raise Unjudgeable(f"adapters have other modules: {sorted(saved)} and {sorted(states[0])}")
        ours = {"losses": [s["loss"] for s in log["steps"]], "norms": [s["gradient_norm"] for s in log["steps"]],
                "rates": [s["learning_rate"] for s in log["steps"]], "dev_losses": log["dev_losses"]}  # fmt: skip
        clipped = sum(norm > settings["max_grad_norm"] for norm in theirs["norms"])
        report.within(f"{head}: learning rates", max(gaps(ours["rates"], theirs["rates"])), 1e-6)
        report.hold(f"{head}: training lowers the dev loss", min(dev) < dev[0])
        report.hold(f"{head}: the same epoch is the best one", best == int(np.argmin(dev)))
        # B begins as zero, A does not: what training made of it.
        moved = {n: states[best][n] - states[0][n] for n in states[0]}
        epoch = len(batches[0])
        row = {
            "layer": layer, "steps": f"{steps} ({clipped} clipped)", "dev loss": f"{dev[0]:.4f} to {dev[best]:.4f}",
            "loss": f"{np.mean(theirs['losses'][:epoch]):.4f} to {np.mean(theirs['losses'][-epoch:]):.4f}",
            "first loss": gaps(ours["losses"], theirs["losses"])[0], "losses": max(gaps(ours["losses"], theirs["losses"])),
            "dev losses": max(gaps(ours["dev_losses"], dev)), "first norm": gaps(ours["norms"], theirs["norms"])[0],
            "norms": max(gaps(ours["norms"], theirs["norms"])),
        }  # fmt: skip
        for n, move in moved.items():
            row[f"change of {n[-8]}"], row[f"largest, {n[-8]}"] = apart(saved[n] - states[0][n], move)
        self.rows.append(row)
        for what, most in (("first loss", FIRST_LOSS), ("losses", LOSSES), ("dev losses", LOSSES), ("first norm", FIRST_NORM),
                           ("norms", NORMS), ("change of A", CHANGE), ("change of B", CHANGE)):  # fmt: skip
            report.within(f"{head}: {what}", row[what], most)
        adapter = self.scratch / f"peft-{layer}"
        self.peer.save(model, states[best], adapter)
        self.compare(f"PEFT's of layer {layer}, in icl-mask", model, self.ours.run(f"theirs-{layer}", adapter))
        model.unload()

    # --- Gradients ---

    def check_gradients(self):
        settings = self.settings | TIGHT | {"dev_size": 0, "projections": list(PROJECTIONS)}
        folders = []
        for epochs in (1, 2):
            more = ["--max-new-tokens", "1"]
            folders.append(self.ours.lora(f"tight-{epochs}", self.layers, settings | {"epochs": epochs}, 1, *more))
        for layer in self.layers:
            self.check_gradients_of(layer, settings | {"epochs": 2}, folders)

    def check_gradients_of(self, layer, settings, folders):
        head, report = f"layer {layer}, seven projections", self.report
        log, batches = self.log_of(folders[1], layer)
        self.check_order(layer, log, batches, settings)
        floats, float_states, model = self.peer.train(layer, settings, batches, own_loss)
        model.unload()
        theirs, states, model = self.peer.train(layer, settings, batches)
        model.unload()
        saved = [load_file(f / "lora" / f"layer-{layer}" / "adapter_model.safetensors") for f in folders]
        report.hold(f"{head}: modules of the adapter", set(saved[0]) == set(states[0]))
        letters = {letter: [n for n in states[0] if f"lora_{letter}." in n] for letter in "AB"}
        identical = [same(saved[0][n], states[0][n]) for n in letters["A"]]
        report.hold(f"{head}: A begins as PEFT's, to the bit", all(identical))
        ours = {"losses": [s["loss"] for s in log["steps"]], "norms": [s["gradient_norm"] for s in log["steps"]]}
        size = max(float(states[1][n].abs().max()) for n in letters["B"])
        facts = {"first A identical": f"{sum(identical)}/{len(identical)}", "largest of B": f"{size:.2f}",
                 "losses, B = 0 and not": " and ".join(f"{loss:.4f}" for loss in theirs["losses"])}  # fmt: skip
        for who, found, ends in (("icl-mask", ours, [states[0], *saved]), ("PEFT, float32 loss", floats, float_states)):
            row = {"losses": max(gaps(found["losses"], theirs["losses"])),
                   "norms": max(gaps(found["norms"], theirs["norms"]))}  # fmt: skip
            for letter, step in (("B", 1), ("A", 2), ("B", 2)):
                pairs = [(ends[step][n] - ends[step - 1][n], states[step][n] - states[step - 1][n])
                         for n in letters[letter]]  # fmt: skip
                row[f"{letter}, step {step}"], row[f"largest, {letter}, step {step}"] = worst(pairs)
            self.gradients.append({"layer": layer, "": who} | (facts if who == "icl-mask" else dict.fromkeys(facts, ""))
                                  | row)  # fmt: skip
            if who == "icl-mask":
                report.within(f"{head}: losses", row["losses"], FIRST_LOSS)
                report.within(f"{head}: norms of the gradient", row["norms"], FIRST_NORM)
                for what in ("B, step 1", "A, step 2", "B, step 2"):
                    report.within(f"{head}: update of {what}", row[what], UPDATES)

    # --- Generations ---

    def compare(self, what, model, generated):
        """Ours against what transformers generates with that model."""
        identical, tokens, different, plain, stops = 0, 0, [], 0, 0
        for item, line, base in zip(self.items, generated, self.baseline, strict=True):
            ours = line["tokens"]
            logits = self.peer.logits(model, question(item["source"]), ours)
            theirs = logits.argmax(-1).tolist()
            tokens += len(ours)
            identical += theirs == ours
            plain += base["tokens"] == ours
            stops += self.stops_rightly(line)
            if theirs != ours:
                at = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
                margin = float(logits[at, theirs[at]] - logits[at, ours[at]])
                different.append(f"{item['id']}: token {at} of {len(ours)}, by {margin:.1e}")
                self.report.hold(f"{what}: a near-tie: {different[-1]}", margin < NEAR_TIE)
        n = len(self.items)
        self.report.hold(f"{what}: {identical} of {n} generations identical", identical + len(different) == n)
        self.report.hold(f"{what}: each ends where it should", stops == n)
        self.check_one(what, model, generated, different)
        self.generations.append({
            "adapter": what, "identical": f"{identical}/{n}", "tokens": tokens, "as without adapter": f"{plain}/{n}",
            "differences": "; ".join(different) or "none",
        })  # fmt: skip
        return plain

    def check_one(self, what, model, generated, different):
        """One of middling length also by transformers' own generation, with its cache."""
        i = sorted(range(len(generated)), key=lambda i: len(generated[i]["tokens"]))[len(generated) // 2]
        ours = generated[i]["tokens"]
        theirs = self.peer.generate(model, question(self.items[i]["source"]), len(ours))
        tie = any(text.startswith(self.items[i]["id"] + ":") for text in different)
        self.report.hold(f"{what}: generate() gives those {len(ours)} tokens of one", theirs == ours or tie)

    def stops_rightly(self, line):
        """At the first line's end, the end of text, or 50 tokens."""
        spelled = [self.peer.bpe.token_bytes(token) for token in line["tokens"]]
        broken = [b"\n" in piece for piece in spelled]
        ended = [self.peer.bpe.tokens[token] in ("<|endoftext|>", "<|im_end|>") for token in line["tokens"]]
        early = any(broken[:-1]) or any(ended[:-1])
        reason = {"separator": broken[-1], "eos": ended[-1], "length": len(spelled) == 50}
        return not early and reason.get(line["stop"], line["stop"] == "question")

    def check_generations(self, folder):
        self.compare("none", self.peer.model, self.baseline)
        for layer in self.layers:
            path = folder / "lora" / f"layer-{layer}"
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                model = PeftModel.from_pretrained(self.peer.model, path).eval()
            lacking = [str(w.message) for w in said if "key" in str(w.message)]
            self.report.hold(f"layer {layer}: PEFT loads what icl-mask wrote {lacking or ''}".rstrip(), not lacking)
            loaded = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
            file = load_file(path / "adapter_model.safetensors")
            equal = set(loaded) == set(file) and all(same(loaded[n], file[n]) for n in file)
            self.report.hold(f"layer {layer}: and has the same numbers", equal)
            generated = lines(folder / "lora" / f"layer-{layer}.jsonl")
            self.compare(f"icl-mask's of layer {layer}, in PEFT", model, generated)
            # Its own command gives the same as the sweep of all layers.
            alone = self.ours.run(f"alone-{layer}", path)
            equal = [line["tokens"] for line in alone] == [line["tokens"] for line in generated]
            self.report.hold(f"layer {layer}: run --adapter generates what lora did", equal)
            model.unload()

    def check_drawn(self):
        model = self.peer.drawn(self.scratch / "drawn")
        plain = self.compare("PEFT's, random, everywhere, rsLoRA, in icl-mask", model,
                             self.ours.run("drawn", self.scratch / "drawn"))  # fmt: skip
        self.report.hold("the random adapter changes generations", plain < len(self.items))
        model.unload()

    # --- All of it ---

    def run(self):
        begun = time.time()
        say(f"icl-mask trains layers {self.args.layers}")
        folder = self.ours.lora("ours", self.layers, self.settings, self.args.limit)
        self.manifest, self.items = json.loads((folder / "manifest.json").read_text()), lines(folder / "items.jsonl")
        self.baseline = lines(folder / "none" / "baseline.jsonl")
        self.rows, self.gradients = [], []
        say(f"{time.time() - begun:.0f} s; loading the model into transformers")
        self.peer = Peer(self.args)
        before = copy.deepcopy(self.peer.model.state_dict())
        self.report.hold("hyperparameters read as the file has them",
                         not config_mistakes(self.peer.source, self.peer.model.config))  # fmt: skip
        self.check_texts(folder)
        self.check_generations(folder)
        say(f"{time.time() - begun:.0f} s; PEFT trains")
        for layer in self.layers:
            self.check_training(folder, layer)
        say(f"{time.time() - begun:.0f} s; gradients")
        self.check_gradients()
        self.check_drawn()
        after = self.peer.model.state_dict()
        intact = set(before) == set(after) and all(same(before[n], after[n]) for n in before)
        self.report.hold("the model of the peer is the same at the end", intact)
        say(f"{time.time() - begun:.0f} s")

    def markdown(self):
        s = self.settings
        versions = {"peft": peft.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
        facts = [
            ("model", f"{self.args.model}.gguf, {self.peer.model.config.num_hidden_layers} layers, "
                      f"{self.peer.source.quantisation}, sha256 {self.peer.source.sha256[:16]}"),
            ("peer", ", ".join(f"{k} {v}" for k, v in versions.items()) + f", Python {platform.python_version()}"),
            ("training", f"{DATA} {DIRECTION}, {s['train_size']} pairs in batches of {s['batch']}, {s['epochs']} epochs, "
                         f"learning rate {s['learning_rate']:g}, gradients clipped at {s['max_grad_norm']:g}, "
                         f"{s['dev_size']} dev pairs"),
            ("token ids identical", self.texts),
        ]  # fmt: skip
        parts = [f"### {self.args.model}", table(["", ""], facts)]
        parts += ["Training at the attention's output projection; differences from PEFT with a float64 loss, relative, the "
                  "change of A and B by its norm and its largest number:", records(self.rows)]  # fmt: skip
        parts += ["Gradients of all seven projections of a layer, by updates of a training whose gradients are far below "
                  "AdamW's eps; differences relative to each tensor's norm and largest number, the worst of seven:",
                  records(self.gradients)]  # fmt: skip
        parts += ["Greedy generations:", records(self.generations)]
        missed = [what for what, held in self.report.criteria if not held]
        n = len(self.report.criteria)
        parts += [f"Criteria: {n - len(missed)} of {n} hold." + "".join(f"\n- missed: {what}" for what in missed)]
        return "\n\n".join(parts) + "\n"


def table(head, rows):
    body = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return "\n".join(body + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def records(rows):
    shown = [[f"{x:.1e}" if isinstance(x, float) else x for x in row.values()] for row in rows]
    return table(rows[0], shown) if rows else "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a name of models/*.gguf")
    parser.add_argument("--binary", required=True, help="icl-mask")
    parser.add_argument("--layers", default="3,20")
    parser.add_argument("--train-size", type=int, default=42)
    parser.add_argument("--train-batch", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--dev-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--max-grad-norm", type=float, default=0.25)
    parser.add_argument("--limit", type=int, default=8, help="test items")
    parser.add_argument("--threads", type=int, help="default: all cores")
    args = parser.parse_args()
    torch.set_num_threads(args.threads or os.cpu_count())
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            judge = Judge(args, Path(scratch))
            judge.run()
            print(judge.markdown())
    except Unjudgeable as mistake:
        print(f"parity: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against the Rust half.
        traceback.print_exc()
        return 2
    return 0 if all(held for _, held in judge.report.criteria) else 1


if __name__ == "__main__":
    sys.exit(main())
