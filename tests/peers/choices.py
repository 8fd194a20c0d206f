#!/usr/bin/env python3
"""Does icl-mask weigh options as Hugging Face transformers does?

Reads results folders that `icl-mask run` wrote for tasks that choose among options, and derives every number again: the
prompts from the manifest's format strings, demonstrations and items; the tokens by the models' published rules, with those
of transformers' conversion of the GGUF file beside them; the border between prompt and option as lm-evaluation-harness sets
it; the hidden columns from the mask's definition; the log-probabilities from transformers' float32 logits, in float64. Then
it makes the measures of the score files, once from these numbers and once, to 1e-6, from the lines that icl-mask wrote.

    choices.py --model models/smollm2-135m.gguf [--items N] [--at-least 1000] [--double N] [--markdown table.md] RESULTS ...

The context that all prompts of a run share is computed once a condition, options that begin alike share the rows of
their beginning, and several items go through the model in one call, each with the columns that it may read. For the
first items of each run the same is computed without all that, as one whole sequence an option (--samples, at most four
options), and compared. `--double N` computes the N items that differ most a third time, in float64 throughout, and says
how far both are from that; it decides nothing.

Exit code 0: every criterion holds; 1: at least one is missed; 2: the input cannot be judged.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sklearn
import torch
import transformers
from sklearn.metrics import f1_score
from transformers import AutoTokenizer
from transformers.cache_utils import DynamicCache

from parity import Mask, MaskedModel, check_the_check, config_mistakes
from prompts import ByteLevelBpe, Source, Unjudgeable, exact_segments

LOGPROB_TOLERANCE = 1e-4
# Another choice, rank or likeliest token is a near-tie if transformers' own numbers differ by less than this.
NEAR_TIE = 2 * LOGPROB_TOLERANCE
MEASURE_TOLERANCE = 1e-6
# What two ways of computing the same in float32 may differ by here.
SHORTCUT_TOLERANCE = 5e-5
# Rows of items that go through the model together.
ROWS = 192
MEASURES = ("accuracy", "accuracy_per_token", "logprob", "margin", "logit_difference", "option_mass", "option_rate",
            "macro_f1", "ece", "kl")  # fmt: skip


# --- Prompts and borders -------------------------------------------------------------------------------------


def encode_pair(encode, context, continuation):
    """The rule of lm-evaluation-harness (`TemplateLM._encode_pair`) -> tokens of the prompt, tokens of the option"""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, prompt = encode(context + continuation), encode(context)
    return prompt, whole[len(prompt) :]


def target(item):
    return item["target"][0] if isinstance(item["target"], list) else item["target"]


@dataclass
class Item:
    """One test item: its prompt, what a mask hides of it, and its options."""

    name: str
    texts: list
    right: int
    prompt: list
    segments: dict
    options: list  # tokens of each
    shared: int  # how many first tokens all options have, while each has one left


class Prompts:
    """The prompts of one run, rebuilt from its manifest."""

    def __init__(self, manifest, converted, bpe):
        self.settings, self.converted, self.bpe = manifest["settings"], converted, bpe
        self.strings = self.settings["format_strings"]
        if any(brace in str(text) for text in self.strings.values() for brace in "{}"):
            raise Unjudgeable("a format string holds a placeholder")
        s, separator = self.strings, self.strings["separator"]
        self.instructions = s["header"] + separator if s["header"] else ""
        self.examples = "".join(
            s["question"] + d["source"] + s["answer"] + s["before_target"] + target(d) + s["after_target"] + separator
            for d in manifest["demonstrations"]
        )
        self.chat = self.settings.get("chat_template") is not None
        self.texts, self.converted_mistakes = 0, []

    def encode(self, text):
        ids = self.bpe.encode(text)
        self.texts += 1
        # Its conversion of some files lacks a rule, such as the one that cuts out digits before white space is split.
        if self.bpe.bos + self.converted(text, add_special_tokens=False)["input_ids"] != ids:
            self.converted_mistakes.append(text)
        return ids

    def item(self, row):
        query = self.strings["question"] + row["source"] + self.strings["answer"]
        pieces = {"instructions": self.instructions, "examples": self.examples, "query": query}
        context, before = self.instructions + self.examples + query, self.strings["before_target"]
        opening = closing = ""
        if self.chat:
            user = [{"role": "user", "content": context}]
            whole = self.converted.apply_chat_template(user, add_generation_prompt=True, tokenize=False)
            opening, found, closing = whole.partition(context)
            if not found:
                raise Unjudgeable("the chat template changes the prompt")
            context, before = whole, before.lstrip(" ")
        pairs = [encode_pair(self.encode, context, before + option) for option in row["options"]]
        prompt = pairs[0][0]
        ends = context.rstrip()
        pieces["query"] += closing[: len(closing) - (len(context) - len(ends))] if self.chat else ""
        if not self.chat and len(ends) < len(context):
            pieces["query"] = pieces["query"].rstrip()
        segments = self._segments(prompt, opening, pieces)
        # Tokens that begin every option, while each has one left
        shared = 0
        for column in zip(*(tokens[:-1] for _, tokens in pairs)):
            if len(set(column)) > 1:
                break
            shared += 1
        answers = row["target"] if isinstance(row["target"], list) else [row["target"]]
        (right,) = (i for i, option in enumerate(row["options"]) if option in answers)
        return Item(row["id"], row["options"], right, prompt, segments, [tokens for _, tokens in pairs], shared)

    def _segments(self, prompt, opening, pieces):
        if not opening:
            return exact_segments(self.bpe, prompt, pieces)
        # The same rule with one piece more in front: a token belongs to the piece that holds its first byte.
        n_opening = len(self.bpe.normalise(opening).encode())
        first, edge = 0, 0
        for token in prompt[len(self.bpe.bos) :]:
            if first >= n_opening:
                break
            first, edge = first + len(self.bpe.token_bytes(token)), edge + 1
        if first != n_opening:
            raise Unjudgeable("a token lies on the border between the chat template and the prompt")
        bare = ByteLevelBpe.__new__(ByteLevelBpe)
        bare.__dict__ = self.bpe.__dict__ | {"bos": []}
        skip = len(self.bpe.bos) + edge
        found = exact_segments(bare, prompt[skip:], pieces)
        return {name: [a + skip, b + skip] for name, (a, b) in found.items()}


# --- The model -----------------------------------------------------------------------------------------------


def hidden_columns(segments, mask):
    names = ("instructions", "examples", "query")
    return {c for name, letter in zip(names, mask) if letter == "T" for c in range(*segments[name])}


@dataclass
class Pack:
    """Rows of several items behind the context that all share: each item's own prompt, then the tree of its options."""

    items: list
    ids: list = field(default_factory=list)
    positions: list = field(default_factory=list)
    parents: list = field(default_factory=list)  # the row before, -1 behind the context
    hideable: list = field(default_factory=list)  # (item, its column)
    wanted: list = field(default_factory=list)  # for each item and option the row that each of its tokens is read from

    @classmethod
    def of(cls, items, n_context):
        pack = cls(items)
        for number, item in enumerate(items):
            row = -1
            for position in range(n_context, len(item.prompt)):
                row = pack._add(number, item.prompt[position], position, row)
            nodes, paths = {(): row}, []
            for tokens in item.options:
                path = []
                for depth in range(len(tokens)):
                    before = tuple(tokens[:depth])
                    if before not in nodes:
                        parent = nodes[before[:-1]]
                        nodes[before] = pack._add(number, before[-1], len(item.prompt) + depth - 1, parent)
                    path.append(nodes[before])
                paths.append(path)
            pack.wanted.append(paths)
        return pack

    def _add(self, number, token, position, parent):
        self.ids.append(token)
        self.positions.append(position)
        self.parents.append(parent)
        self.hideable.append((number, position))
        return len(self.ids) - 1

    def readable(self, n_context):
        own = torch.zeros(len(self.ids), len(self.ids), dtype=torch.bool)
        for row, parent in enumerate(self.parents):
            if parent >= 0:
                own[row] = own[parent]
            own[row, row] = True
        return torch.cat([torch.ones(len(self.ids), n_context, dtype=torch.bool), own], dim=1)

    def hidden(self, mask, n_context):
        common = {c for c in hidden_columns(self.items[0].segments, mask) if c < n_context}
        each = [hidden_columns(item.segments, mask) for item in self.items]
        return common | {n_context + row for row, (i, column) in enumerate(self.hideable) if column in each[i]}


class Weigher(MaskedModel):
    """parity.py's masked model on rows that read what they are told to."""

    def through(self, states, positions, readable, mask, caches=None, first=0):
        """-> the states that enter each layer from `first` on and leave the last, and each layer's keys and values"""
        positions = torch.tensor([positions])
        shut = torch.finfo(torch.float32).min
        bias = torch.zeros(readable.shape).masked_fill(~readable, shut)[None, None]
        self.mask, cache, all_states = mask, DynamicCache(), [states]
        for layer in range(self.n_layers):
            # transformers fills the layers of a cache in order.
            held = caches[layer] if caches else (torch.zeros(1, 1, 0, 1),) * 2
            if caches or layer < first:
                cache.update(*held, layer)
            if layer < first:
                continue
            states = self.model.model.layers[layer](
                states, attention_mask=bias, position_ids=positions, past_key_values=cache,
                position_embeddings=self.model.model.rotary_emb(states, positions),
            )  # fmt: skip
            all_states.append(states)
        self.mask = None
        return all_states, [(layer.keys, layer.values) for layer in cache.layers]

    def in_double(self):
        """From here on all of it in float64, also what the family's code does in float32 whatever the type: softmax, norms
        and rotary angles."""
        self.model.double()
        config, rotary = self.model.config, self.model.model.rotary_emb
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        turns = 1.0 / config.rope_parameters["rope_theta"] ** (torch.arange(0, width, 2, dtype=torch.float64) / width)

        def angles(_, position_ids):
            angle = (position_ids[0].double()[:, None] * turns).repeat(1, 2)[None]
            return angle.cos(), angle.sin()

        def normed(norm):
            return lambda x: norm.weight * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + norm.variance_epsilon))

        rotary.forward = angles
        for module in self.model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = normed(module)
        # The masked attention of parity.py has no type of its own.
        nothing = Mask(0, set())
        self.family_attention = lambda *args, **kwargs: self._with(nothing, *args, **kwargs)

    def _with(self, mask, *args, **kwargs):
        before, self.mask = self.mask, mask
        try:
            return self._attention(*args, **kwargs)
        finally:
            self.mask = before

    def embed(self, ids):
        return self.model.model.embed_tokens(torch.tensor([ids]))

    def context(self, ids, mask):
        """Keys and values of rows that all prompts begin with."""
        n = len(ids)
        return self.through(self.embed(ids), range(n), torch.ones(n, n, dtype=torch.bool).tril(), mask)[1]

    def distributions(self, states, rows):
        """log-softmax in float64 of the float32 logits of some rows"""
        logits = self.model.lm_head(self.model.model.norm(states[0, rows]))
        return torch.log_softmax(logits.double(), dim=-1)


# --- One item's numbers --------------------------------------------------------------------------------------


@dataclass
class Weighed:
    """What is known of one item in one condition, by whomever."""

    token_logprobs: list  # for each option
    likeliest: int
    kl: float
    # transformers' log-probabilities where the options begin, to judge ties
    first: torch.Tensor | None = None

    def logprobs(self):
        return [float(np.sum(tokens, dtype=np.float64)) for tokens in self.token_logprobs]

    def per_token(self, shared):
        return [float(np.mean(tokens[shared:], dtype=np.float64)) for tokens in self.token_logprobs]


def choice(values):
    return int(np.argmax(values))


def rank(values, right):
    return sum(value >= values[right] for value in values)


def values_of_line(line):
    return [option["logprob"] for option in line["options"]], [option["per_token"] for option in line["options"]]


def measures(rows):
    """[(Item, Weighed, logprobs, per_token)] -> each measure, by the definitions of docs/tasks.md"""
    found = {name: [] for name in MEASURES}
    confidence, right_labels, chosen_labels = [], [], []
    for item, weighed, logprobs, per_token in rows:
        r, shared, chosen = item.right, item.shared, choice(logprobs)
        found["accuracy"].append(chosen == r)
        found["accuracy_per_token"].append(choice(per_token) == r)
        found["logprob"].append(logprobs[r])
        wrong = [i for i in range(len(logprobs)) if i != r]
        found["margin"].append(logprobs[r] - max(logprobs[i] for i in wrong))
        # The logit of a token without that of another is the difference of their log-probabilities.
        begins = {i: tokens[shared] for i, tokens in enumerate(item.options)}
        first = {i: weighed.token_logprobs[i][shared] for i in begins}
        other = [i for i in wrong if begins[i] != begins[r]]
        # The likeliest by that token alone, not by the whole option.
        found["logit_difference"].append(first[r] - max(first[i] for i in other) if other else None)
        by_token = {begins[i]: first[i] for i in begins}
        found["option_mass"].append(np.exp(list(by_token.values())).sum())
        found["option_rate"].append(weighed.likeliest in by_token)
        found["kl"].append(weighed.kl)
        weights = np.exp(np.array(logprobs, dtype=np.float64) - max(logprobs))
        confidence.append(weights.max() / weights.sum())
        right_labels.append(item.texts[r])
        chosen_labels.append(item.texts[chosen])
    # A measure that some item lacks is absent.
    means = {name: float(np.mean(each)) for name, each in found.items() if each and None not in each}
    means["macro_f1"] = float(f1_score(right_labels, chosen_labels, average="macro", zero_division=0))
    means["ece"] = calibration_error(np.array(confidence), np.array(found["accuracy"], dtype=np.float64))
    counts = {}
    for right, chosen in zip(right_labels, chosen_labels):
        counts.setdefault(right, {"right": 0, "chosen": 0})["right"] += 1
        counts.setdefault(chosen, {"right": 0, "chosen": 0})["chosen"] += 1
    return means, counts


def calibration_error(confidence, correct, bins=10):
    """Bin b holds (b/bins, (b+1)/bins]. torchmetrics' bins hold their lower ends instead, and 1.0 has a bin of its own;
    the two differ only where a probability is a bin's end, such as exactly 1 or, with two options alike, 0.5."""
    ends = np.arange(1, bins) / bins
    number = np.searchsorted(ends, confidence, side="left")
    error = 0.0
    for b in range(bins):
        inside = number == b
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return float(error)


# --- A run ---------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """One condition of one run, what was found there."""

    model: str
    run: str
    series: str
    layer: int
    options: int = 0
    several: int = 0
    items: int = 0
    logprob_gap: float = 0.0
    kl_gap: float = 0.0
    measure_gap: float = 0.0
    peer_measure_gap: float = 0.0
    choices_identical: int = 0
    mistakes: list = field(default_factory=list)
    ties: list = field(default_factory=list)

    def condition(self):
        return self.series if self.series == "none" else f"{self.series} from {self.layer}"

    def widen(self, name, gap):
        # A NaN must not be lost in a maximum.
        setattr(self, name, max(getattr(self, name), gap if gap == gap else float("inf")))


def compare(cell, item, line, peer):
    """One line of icl-mask's against transformers."""
    where = f"{cell.run} {cell.condition()} {item.name}"
    total, per_token = values_of_line(line)
    mistakes = []

    def equal(what, theirs, mine):
        if theirs != mine:
            mistakes.append(f"{where}: {what} {theirs}, expected {mine}")

    equal("id", line["id"], item.name)
    equal("options", [o["text"] for o in line["options"]], item.texts)
    equal("tokens of options", [o["tokens"] for o in line["options"]], item.options)
    equal("prompt_tokens", line["prompt_tokens"], len(item.prompt))
    equal("right", line["right"], item.right)
    equal("shared", line.get("shared", 0), item.shared)
    for o in line["options"]:
        equal("token_logprobs are there", "token_logprobs" in o, len(o["tokens"]) > 1)
    # What follows from icl-mask's own numbers must follow exactly.
    equal("chosen", line["chosen"], choice(total))
    equal("chosen_per_token", line["chosen_per_token"], choice(per_token))
    equal("rank", line["rank"], rank(total, item.right))
    equal("text", line["text"], item.texts[line["chosen"]])
    equal("clean", line["clean"], item.texts[line["chosen"]])
    equal("tokens", line["tokens"], line["options"][line["chosen"]]["tokens"])
    equal("stop", line["stop"], "chosen")
    cell.mistakes += mistakes
    if [o["tokens"] for o in line["options"]] != item.options:
        cell.widen("logprob_gap", float("inf"))
        return
    expected, expected_mean = peer.logprobs(), peer.per_token(item.shared)
    for o, all_of_it, mean, tokens in zip(line["options"], expected, expected_mean, peer.token_logprobs):
        cell.widen("logprob_gap", abs(o["logprob"] - all_of_it))
        cell.widen("logprob_gap", abs(o["per_token"] - mean))
        for theirs, mine in zip(o.get("token_logprobs", []), tokens):
            cell.widen("logprob_gap", abs(theirs - mine))
        cell.several += len(tokens) > 1
    cell.widen("kl_gap", abs(line["kl"] - peer.kl))
    cell.options, cell.items = cell.options + len(expected), cell.items + 1

    def tie(what, theirs, mine, lead):
        if theirs == mine:
            return True
        note = f"{where}: {what} {theirs}, transformers {mine}, which leads by {lead:.1e}"
        (cell.ties if lead < NEAR_TIE else cell.mistakes).append(note)
        return False

    same = tie("chosen", line["chosen"], choice(expected), max(expected) - expected[line["chosen"]])
    lead = max(expected_mean) - expected_mean[line["chosen_per_token"]]
    same &= tie("chosen_per_token", line["chosen_per_token"], choice(expected_mean), lead)
    likeliest = peer.first[line["likeliest"]]
    same &= tie("likeliest", line["likeliest"], peer.likeliest, float(peer.first.max() - likeliest))
    others = [abs(v - expected[item.right]) for i, v in enumerate(expected) if i != item.right]
    same &= tie("rank", line["rank"], rank(expected, item.right), min(others, default=0.0))
    cell.choices_identical += same


def largest_gap(line, logprobs):
    return max(abs(o["logprob"] - mine) for o, mine in zip(line["options"], logprobs))


def of_line(item, line):
    tokens = [o.get("token_logprobs", [o["logprob"]]) for o in line["options"]]
    return (item, Weighed(tokens, line["likeliest"], line["kl"]), *values_of_line(line))


def judge_measures(cell, scores, items, lines, peers):
    """The score file from icl-mask's own lines, exactly; and from transformers' numbers."""
    for what, rows, widen in (
        ("its own lines", [of_line(i, l) for i, l in zip(items, lines)], "measure_gap"),
        ("transformers", [(i, p, p.logprobs(), p.per_token(i.shared)) for i, p in zip(items, peers)], "peer_measure_gap"),
    ):
        means, counts = measures(rows)
        for name in MEASURES:
            if (name in means) != (scores.get(name) is not None):
                cell.mistakes.append(f"{cell.run} {cell.condition()}: {name} is {scores.get(name)}, by {what} {means.get(name)}")
            elif name in means:
                gap = abs(scores[name] - means[name])
                cell.widen(widen, gap)
                # Counting measures follow near-ties, so those are judged by icl-mask's own lines alone.
                if widen == "measure_gap" and not gap <= MEASURE_TOLERANCE:
                    cell.mistakes.append(f"{cell.run} {cell.condition()}: {name} {scores[name]}, by {what} {means[name]}")
        if widen == "measure_gap" and "labels" in scores and scores["labels"] != counts:
            cell.mistakes.append(f"{cell.run} {cell.condition()}: labels {scores['labels']}, expected {counts}")
        if widen == "measure_gap" and ("labels" in scores) != (len(counts) <= 50):
            cell.mistakes.append(f"{cell.run} {cell.condition()}: labels of {len(counts)}, there: {'labels' in scores}")


class Run:
    """One manifest and the cells beside it."""

    def __init__(self, folder, source, converted, bpe, limit):
        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        settings = self.manifest["settings"]
        if settings["task"] != "choice":
            raise Unjudgeable(f"{folder}: its task is {settings['task']}")
        if settings["model_sha256"] != source.sha256:
            raise Unjudgeable(f"{folder}: computed with another model than {source.path}")
        self.name = folder.parent.name.rsplit(".", 1)[-1] if "asked" not in settings else settings["asked"]["name"]
        if settings["data"] != self.name:
            self.name += f" ({settings['data']})"
        self.prompts = Prompts(self.manifest, converted, bpe)
        if self.prompts.chat:
            self.name += ", chat template"
        rows = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
        self.whole = not limit or limit >= len(rows)
        self.items = [self.prompts.item(row) for row in rows[:limit]]
        self.cells, self.lines, self.scores, self.gaps = [], [], [], []
        for path in sorted(folder.glob("*/*.json")):
            scores = json.loads(path.read_text(encoding="utf-8"))
            series, layer = scores["condition"]["series"], scores["condition"].get("layer", scores["n_layers"])
            if series != "none" and not set(series) <= set("TF"):
                raise Unjudgeable(f"{path}: {series} is not known here")
            text = path.with_suffix(".jsonl").read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.splitlines()]
            if len(lines) != len(rows) or scores["n"] != len(rows):
                raise Unjudgeable(f"{path}: {len(lines)} lines of {len(rows)} items")
            self.cells.append(Cell(settings["model"], self.name, series, layer))
            self.lines.append(lines[:limit])
            self.scores.append(scores)
        if not self.cells:
            raise Unjudgeable(f"{folder}: no finished cell")

    def prompt_mistakes(self):
        """The prompt that the manifest holds, and which columns it says are hidden."""
        theirs, mine = self.manifest["prompt"], self.items[0]
        mistakes = []
        if theirs["tokens"] != mine.prompt:
            mistakes.append(f"{self.name}: the prompt of {mine.name} has other tokens")
        for text in {o for item in self.items[:20] for o in [theirs["text"], *item.texts]}:
            if self.prompts.bpe.encode_plainly(text) != self.prompts.bpe.encode(text):
                mistakes.append(f"{self.name}: plain BPE differs from the tokenizers library on {text!r}")
        for series, ranges in self.manifest["hidden"].items():
            columns = {c for a, b in ranges for c in range(a, b)}
            expected = set() if series == "none" else hidden_columns(mine.segments, series)
            if columns != expected:
                mistakes.append(f"{self.name}: {series} hides {sorted(columns)}, expected {sorted(expected)}")
        return mistakes

    def packs(self):
        n = min(len(item.prompt) for item in self.items) - 1
        first = self.items[0].prompt
        while any(item.prompt[:n] != first[:n] for item in self.items):
            n -= 1
        packs, some, rows = [], [], 0
        for item in self.items:
            need = len(Pack.of([item], n).ids)
            if some and rows + need > ROWS:
                packs.append(Pack.of(some, n))
                some, rows = [], 0
            some.append(item)
            rows += need
        packs.append(Pack.of(some, n))
        return first[:n], packs

    def mask_of(self, cell, hidden):
        return None if cell.series == "none" else Mask(cell.layer, hidden)

    def judge(self, model, samples):
        """-> the largest difference that the shortcuts make"""
        context, packs = self.packs()
        n, shortcut = len(context), 0.0
        peers = [[] for _ in self.cells]
        first = self.items[0].segments
        caches = [
            model.context(context, self.mask_of(cell, {c for c in hidden_columns(first, cell.series) if c < n}))
            for cell in self.cells
        ]
        plain = model.context(context, None)
        done, started = 0, time.time()
        for pack in packs:
            readable = pack.readable(n)
            trunk, _ = model.through(model.embed(pack.ids), pack.positions, readable, None, plain)
            rows, place = self._rows(pack)
            baseline = model.distributions(trunk[-1], rows)
            for number, cell in enumerate(self.cells):
                here = baseline
                if cell.series != "none" and cell.layer < model.n_layers:
                    mask = self.mask_of(cell, pack.hidden(cell.series, n))
                    # Below its start layer a condition is the baseline.
                    states, _ = model.through(
                        trunk[cell.layer], pack.positions, readable, mask, caches[number], cell.layer
                    )
                    here = model.distributions(states[-1], rows)
                for i, item in enumerate(pack.items):
                    peer = self._weighed(item, pack.wanted[i], place, here, baseline)
                    line = self.lines[number][done + i]
                    peers[number].append(peer)
                    compare(cell, item, line, peer)
                    self.gaps.append((largest_gap(line, peer.logprobs()), number, done + i, peer.logprobs()))
                    if done + i < samples:
                        shortcut = max(shortcut, self._whole(model, cell, item, peer))
            done += len(pack.items)
            seconds = time.time() - started
            print(f"  {self.name}: {done}/{len(self.items)} items, {seconds:.0f} s", file=sys.stderr, flush=True)
        if self.whole:
            for number, cell in enumerate(self.cells):
                judge_measures(cell, self.scores[number], self.items, self.lines[number], peers[number])
        return shortcut

    def _rows(self, pack):
        rows = sorted({row for paths in pack.wanted for path in paths for row in path})
        return rows, {row: i for i, row in enumerate(rows)}

    def _weighed(self, item, paths, place, here, baseline):
        tokens = [
            [float(here[place[row], token]) for row, token in zip(path, option)]
            for path, option in zip(paths, item.options)
        ]
        begin = place[paths[0][item.shared]]
        p, q = baseline[begin], here[begin]
        return Weighed(tokens, int(q.argmax()), float((p.exp() * (p - q)).sum()), q)

    def doubled(self, model, number, at, peer):
        """One item of one cell in float64 -> a sentence"""
        cell, item, line, found = self.cells[number], self.items[at], self.lines[number][at], []
        mask = self.mask_of(cell, hidden_columns(item.segments, cell.series))
        for tokens in item.options:
            logits = model.whole(item.prompt + tokens[:-1], mask)[len(item.prompt) - 1 :]
            if logits.dtype != torch.float64:
                raise Unjudgeable("not all was computed in float64")
            logprobs = torch.log_softmax(logits, dim=-1)
            found.append(sum(float(row[token]) for row, token in zip(logprobs, tokens)))
        both = max(abs(a - b) for a, b in zip(peer, found))
        return (f"{cell.run} {cell.condition()} {item.name}: from float64 icl-mask differs by {largest_gap(line, found):.1e}, "
                f"transformers in float32 by {both:.1e}")  # fmt: skip

    def _whole(self, model, cell, item, peer):
        """The same by one call of the model's public forward a sequence, nothing shared."""
        longest = sorted(range(len(item.options)), key=lambda i: -len(item.options[i]))[:4]
        mask = self.mask_of(cell, hidden_columns(item.segments, cell.series))
        gap = 0.0
        for i in longest:
            tokens = item.options[i]
            logits = model.whole(item.prompt + tokens[:-1], mask)[len(item.prompt) - 1 :]
            logprobs = torch.log_softmax(logits.double(), dim=-1)
            for row, token, mine in zip(logprobs, tokens, peer.token_logprobs[i]):
                gap = max(gap, abs(float(row[token]) - mine))
        return gap


# --- All of it -----------------------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.cells, self.config, self.checks, self.prompts, self.shortcut = [], [], [], [], 0.0
        self.texts, self.converted_mistakes, self.doubled = 0, [], []

    def total(self, name):
        return sum(getattr(cell, name) for cell in self.cells)

    def largest(self, name):
        return max((getattr(cell, name) for cell in self.cells), default=float("inf"))

    def mistakes(self):
        return self.config + self.prompts + [m for cell in self.cells for m in cell.mistakes]

    def criteria(self, at_least):
        masked = sum(cell.options for cell in self.cells if cell.series != "none")
        return [
            ("hyperparameters read as the file has them", not self.config),
            ("the check's own sanity checks", all(held for _, held in self.checks)),
            (f"shared rows change no log-probability by more than {SHORTCUT_TOLERANCE:g}", self.shortcut <= SHORTCUT_TOLERANCE),
            ("prompts and hidden columns as the manifests have them", not self.prompts),
            (f"at least {at_least} options, masked and not", masked and self.total("options") >= at_least),
            ("options of several tokens among them", self.total("several") > 0),
            (f"every log-probability within {LOGPROB_TOLERANCE:g}", self.largest("logprob_gap") <= LOGPROB_TOLERANCE),
            (f"every divergence within {LOGPROB_TOLERANCE:g}", self.largest("kl_gap") <= LOGPROB_TOLERANCE),
            (f"every measure within {MEASURE_TOLERANCE:g} of what its lines say", self.largest("measure_gap") <= MEASURE_TOLERANCE),
            (f"tokens equal; choices too, but for near-ties (lead < {NEAR_TIE:g})", not any(c.mistakes for c in self.cells)),
        ]  # fmt: skip


def folders(paths):
    found = []
    for path in paths:
        here = sorted(Path(path).rglob("manifest.json"))
        if not here:
            raise Unjudgeable(f"{path} holds no manifest.json")
        found += [manifest.parent for manifest in here]
    return found


def run(args):
    source = Source.open(args.model)
    bpe, model, report = ByteLevelBpe(source), Weigher(source), Report()
    report.config = config_mistakes(source, model.model.config)
    folder, file = os.path.split(os.path.abspath(source.path))
    converted = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    runs = []
    for folder in folders(args.results):
        this = Run(folder, source, converted, bpe, args.items)
        report.prompts += this.prompt_mistakes()
        if not report.checks and not this.prompts.chat:
            report.checks = check_the_check(model, this.items[0].prompt, this.items[0].segments)
        model.patch()
        report.shortcut = max(report.shortcut, this.judge(model, args.samples))
        report.cells += this.cells
        report.texts += this.prompts.texts
        report.converted_mistakes += this.prompts.converted_mistakes
        runs.append(this)
    if args.double:
        worst = sorted(((this, *gap) for this in runs for gap in this.gaps), key=lambda w: -w[1])[: args.double]
        model.in_double()
        report.doubled = [this.doubled(model, *where) for this, _, *where in worst]
    return source, report


def table(report):
    head = "| model | task | condition | items | options | of several tokens | largest difference | of kl | choices identical "
    head += "| measures: from its lines | from transformers |"
    lines = [head, "|" + "---|" * 11]
    for c in report.cells:
        lines.append(
            f"| {c.model} | {c.run} | {c.condition()} | {c.items} | {c.options} | {c.several} | {c.logprob_gap:.1e} "
            f"| {c.kl_gap:.1e} | {c.choices_identical}/{c.items} | {c.measure_gap:.0e} | {c.peer_measure_gap:.0e} |"
        )
    return "\n".join(lines)


def words(args, source, report):
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}, "
    versions += f"numpy {np.__version__}, Python {platform.python_version()}"
    lines = [
        table(report), "",
        f"{os.path.basename(source.path)}, sha256 {source.sha256[:16]}; {versions}.",
        f"{report.total('options')} options ({report.total('several')} of several tokens); largest difference of a "
        f"log-probability {report.largest('logprob_gap'):.1e}. Sequences computed whole differ from shared rows by "
        f"{report.shortcut:.1e} at most. transformers' own conversion of the tokenizer agrees on "
        f"{report.texts - len(report.converted_mistakes)} of {report.texts} texts.", "",
    ]  # fmt: skip
    lines += [f"- {sentence}" for sentence in report.doubled]
    lines += [f"- near-tie: {tie}" for cell in report.cells for tie in cell.ties]
    lines += [f"- mistake: {mistake}" for mistake in report.mistakes()[:50]]
    lines += ["", "| criterion | |", "|---|---|"]
    lines += [f"| {what} | {'yes' if held else '**no**'} |" for what, held in report.criteria(args.at_least)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", help="folders with a manifest.json somewhere inside")
    parser.add_argument("--model", required=True, help="the .gguf file")
    parser.add_argument("--items", type=int, help="judge only the first N items of each run, and no measures")
    parser.add_argument("--samples", type=int, default=1, help="items of each run that are computed whole as well (1)")
    parser.add_argument("--at-least", type=int, default=1000, help="fewer options are no verdict (1000)")
    parser.add_argument("--double", type=int, default=0, help="items that differ most, computed in float64 as well (0)")
    parser.add_argument("--markdown", help="also append the tables to this file")
    parser.add_argument("--threads", type=int, help="default: all cores")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    try:
        with torch.inference_mode():
            source, report = run(args)
    except Unjudgeable as mistake:
        print(f"choices: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against icl-mask.
        traceback.print_exc()
        return 2
    for what, held in report.checks:
        print(f"{'ok' if held else 'FAILED':7} sanity: {what}", file=sys.stderr)
    text = words(args, source, report)
    print(text)
    if args.markdown:
        with open(args.markdown, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    return 0 if all(held for _, held in report.criteria(args.at_least)) else 1


if __name__ == "__main__":
    sys.exit(main())
