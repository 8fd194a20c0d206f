#!/usr/bin/env python3
"""Are the statistics of `icl-mask figure masks|ablation --json` those that Python computes from the same results?

    stats.py --binary target/release/icl-mask [--metric chrf] [--layers N] [--generators R] [--stats FILE] RESULTS...

RESULTS is what `icl-mask figure masks` takes. Nothing of the tool is used but its JSON (`--stats FILE`: as it stands
in FILE) and the files of the results: manifest.json, items.jsonl, MASK/layer-N.json and .jsonl. Texts are scored by
sacrebleu from sums of their n-gram counts (BLEU, or with `--metric chrf` chrF); passed programs are counted in whole numbers, so that there no rounding
decides what is equal. What is compared:

Same draws, so equal but for rounding (1e-9; layers exactly)
    SplitMix64 and its draws are written down again here. On the same 1000 resamples of the items (and of the seeds):
    every `items`, `both` and `difference_interval`, and the recognised layers with their intervals, by all three
    definitions (that of no_difference open above, from a band for all layers at once). On the same 10 000 deals: every `p`. Also the scores and differences themselves, and the stored n-gram
    counts against those that sacrebleu extracts from the stored texts and references.

Holm (1e-12)
    `p_corrected` against statsmodels, from the tool's own p.

Other draws, so within sampling error
    `items`, `both` and `difference_interval` against scipy.stats.bootstrap, percentile method, 1000 resamples, repeated
    with R generators. With one seed the two conditions' items are resampled as pairs; with several, items and seeds are
    resampled as two independent samples, which both conditions share. All R distributions together say where an end may
    lie: the value that a share q of our 1000 resamples is beyond has, among theirs, a share of q give or take the binomial
    error sqrt(q (1 - q) / 1000) sqrt(1 + 1/R). Tolerated are 5 of these errors (exceeded once in 1.7 million: hundreds of
    ends are compared, and those of runs with as many items hang together, as they share our resamples), and for programs one program more or less, the step between values of the score. Counted in shares and not in scores, this
    holds for few items too, whose resamples take few values.

    `p` against scipy.stats.permutation_test, permutation_type="samples", two-sided: all deals where the items allow at
    most 2^16 of them (16 items), else 10 000. Its two-sided p is twice the smaller one-sided p; that is the share of
    deals with |difference| >= the one seen, since a deal and its opposite give opposite differences, but with random
    deals it varies more. So both are compared: its p, and that share of its null distribution. Tolerated are 4 binomial
    standard errors of the difference of the two estimates, and one deal.

    Of curves with a single seed, texts as they are scored, sacrebleu's own paired tests:
    - `p` against its approximate randomization ('ar', 10 000 deals). It counts strictly greater differences only, we
      count equal ones too, which matters where few items differ: some deals change nothing. So compared is our p with
      sacrebleu's plus the share of deals that equal the one seen, taken from scipy's null distribution; again 4
      binomial standard errors. Where that share is nothing the two definitions are one.
    - the width of `items` against its bootstrap ('bs', 1000 resamples, the same order statistics), R times as above; it
      scores resamples in 32 bits, so a unit in the 22nd bit is tolerated too.
    - the p of 'bs' is shown and not compared: it is no randomization test. It counts resamples whose |difference|, less
      the mean of all those |differences|, is greater than the one seen.

The table says for each of these against what, how many values, and the pair that came closest to its tolerance or went
furthest beyond it. Exit code 0: all agree; 1: something does not; 2: the input cannot be judged.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.stats
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest
from statsmodels.stats.multitest import multipletests

RESAMPLES, SEED_OF_ITEMS, SEED_OF_SEEDS = 1000, 12345, 54321
DEALS, SEED_OF_DEALS = 10_000, 12345
EXACT = 1 << 16
ERRORS = 4
ERRORS_OF_ENDS = 5
SHARE = 0.95
ABLATION = "ablate-attention"
# What texts are scored with; `--metric` says otherwise.
METRIC = "bleu"
# What varies between the runs of a panel.
VARIES = ("format", "format_strings", "nprompts", "seed")
ORDER = ("no_difference", "reaches", "jump")


class Unjudgeable(Exception):
    """The input is not what the comparison needs."""


def version(package):
    return f"{package} {importlib.metadata.version(package)}"


def progress(text):
    print(f"parity-stats: {text}", file=sys.stderr, flush=True)


# --- The tool's draws, written down again --------------------------------------------------------------------


class SplitMix64:
    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def below(self, bound):
        """High half of the product, unless its low half is among those that would favour some results."""
        while True:
            high, low = divmod(self.next() * bound, 1 << 64)
            if low >= (1 << 64) % bound:
                return high


_drawn = {}


def resamples(seed, n):
    """[resample][draw]: which of n."""
    if (seed, n) not in _drawn:
        random = SplitMix64(seed)
        _drawn[seed, n] = np.array([[random.below(n) for _ in range(n)] for _ in range(RESAMPLES)])
    return _drawn[seed, n]


def deals(n):
    """[deal][item]: do the two outputs of the item change places? 64 items a random number, lowest bit first."""
    if ("deals", n) not in _drawn:
        random = SplitMix64(SEED_OF_DEALS)
        words = [[random.next() for _ in range(0, n, 64)] for _ in range(DEALS)]
        bits = [[row[item // 64] >> (item % 64) & 1 for item in range(n)] for row in words]
        _drawn["deals", n] = np.array(bits, dtype=bool)
    return _drawn["deals", n]


def how_often(indices, n):
    """[row][item]: how often the row names the item."""
    rows = len(indices)
    flat = (indices + n * np.arange(rows)[:, None]).ravel()
    return np.bincount(flat, minlength=rows * n).reshape(rows, n)


# --- The results ---------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """`stats`: [item][count], as sacrebleu orders them (10 of BLEU, 18 of chrF), or [item][1], how many programs pass."""

    where: str
    seed: int
    mask: str
    layer: int
    n_layers: int
    n: int
    samples: int
    is_text: bool
    signature: str
    stored: float
    stats: np.ndarray
    texts: list
    references: list
    exact: bool
    resampled: np.ndarray = None
    resampled_fast: np.ndarray = None


@dataclass
class Run:
    settings: dict
    cells: list


def metric_of(signature):
    """sacrebleu's metric with the settings that a signature tells."""
    told = dict(part.split(":", 1) for part in signature.split("|"))
    if METRIC == "chrf":
        if told["eff"] != "yes":
            raise Unjudgeable(f"scored as {signature}, which is not known here")
        return CHRF(
            char_order=int(told["nc"]),
            word_order=int(told["nw"]),
            lowercase=told["case"] == "lc",
            whitespace=told["space"] == "yes",
        )
    if told["smooth"] != "exp" or told["eff"] != "no":
        raise Unjudgeable(f"scored as {signature}, which is not known here")
    return BLEU(lowercase=told["case"] == "lc", tokenize=told["tok"])


def counts_of(stats):
    """The stored counts of a pair, as sacrebleu orders them."""
    if METRIC == "chrf":
        return [count for order in stats["chrf"] for count in order]
    bleu = stats["bleu"]
    return [bleu["sys_len"], bleu["ref_len"], *bleu["matches"], *bleu["totals"]]


def score_of_sums(sums):
    """The corpus score by sacrebleu of each row of sums of n-gram counts."""
    scorer = CHRF() if METRIC == "chrf" else BLEU(lowercase=True)
    return np.array([scorer._compute_score_from_stats([int(x) for x in row]).score for row in sums])


def fast_score_of_sums(sums):
    """The same by numpy, for the many deals; compared with sacrebleu's below."""
    return (fast_chrf if METRIC == "chrf" else fast_bleu)(np.asarray(sums, dtype=float))


def fast_chrf(sums):
    hypothesis, reference, matches = (sums[:, at::3] for at in range(3))
    counted = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(counted.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(counted, matches / hypothesis, 0).sum(axis=1) / orders
        recall = np.where(counted, matches / reference, 0).sum(axis=1) / orders
        score = 100 * 5 * precision * recall / (4 * precision + recall)
    return np.where(precision + recall > 0, score, 0.0)


def fast_bleu(sums):
    sys_len, ref_len, correct, total = sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]
    with np.errstate(divide="ignore", invalid="ignore"):
        halvings = 2.0 ** np.cumsum(correct == 0, axis=1)
        logs = np.log(np.where(correct == 0, 100 / (halvings * total), 100 * correct / total))
        brevity = np.where(sys_len < ref_len, np.exp(1 - ref_len / sys_len), 1.0)
        scores = brevity * np.exp(logs.mean(axis=1))
    return np.where((correct == 0).all(axis=1) | (total == 0).any(axis=1), 0.0, scores)


def read_lines(path):
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as mistake:
        raise Unjudgeable(f"{path}: {mistake}") from None


def read_cell(path, record, items, settings):
    lines = read_lines(path.with_suffix(".jsonl"))
    samples = (settings.get("sampling") or {}).get("samples", 1)
    wanted = [(item["id"], sample) for item in items for sample in range(samples)]
    if [(line["id"], line.get("sample", 0)) for line in lines] != wanted:
        raise Unjudgeable(f"{path.with_suffix('.jsonl')}: its lines are not those of items.jsonl")
    is_text = "bleu" in record
    if is_text:
        stats = [counts_of(line["stats"]) for line in lines]
    else:
        passed = [line["verdict"] == "passed" for line in lines]
        stats = [[sum(passed[at : at + samples])] for at in range(0, len(passed), samples)]
    return Cell(
        where=str(path),
        seed=record["seed"],
        mask=record["mask"],
        layer=record["from_layer"],
        n_layers=record["n_layers"],
        n=len(items),
        samples=samples,
        is_text=is_text,
        signature=record.get("chrf_signature" if METRIC == "chrf" else "signature", ""),
        stored=record[METRIC if is_text else "pass@1"],
        stats=np.array(stats, dtype=np.int64),
        texts=[line["clean"] for line in lines],
        references=[item["target"] for item in items],
        exact=settings["profile"] == "exact",
    )


def read(paths):
    """Every run at or below these paths, each once."""
    folders = set()
    for path in map(Path, paths):
        found = {manifest.parent for manifest in path.rglob("manifest.json")}
        if not found:
            raise Unjudgeable(f"{path}: no manifest.json here or below")
        folders |= found
    runs = []
    for folder in sorted(folders):
        settings = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["settings"]
        items = read_lines(folder / "items.jsonl")
        cells = []
        for path in sorted(folder.glob("*/*.json")):
            if re.fullmatch(r"baseline|layer-\d+", path.stem):
                record = json.loads(path.read_text(encoding="utf-8"))
                cells.append(read_cell(path, record, items, settings))
        runs.append(Run(settings, cells))
    return runs


@dataclass
class Curve:
    name: str
    n_layers: int
    baseline: list = field(default_factory=list)
    layers: dict = field(default_factory=lambda: defaultdict(list))


def panel_key(settings):
    return json.dumps({k: v for k, v in settings.items() if k not in VARIES}, sort_keys=True)


def curve_key(panel, mask, fmt, instructed, nprompts):
    return panel, mask, fmt, bool(instructed), nprompts


def curves_of(runs):
    """The curves that these runs make: by key, sorted by layer and seed."""
    curves, baselines = {}, defaultdict(list)
    for run in runs:
        settings, panel = run.settings, panel_key(run.settings)
        instructed = bool(settings["format_strings"]["header"])
        for cell in run.cells:
            if cell.mask == "none":
                baselines[panel, settings["format"], settings["nprompts"]].append(cell)
                continue
            key = curve_key(panel, cell.mask, settings["format"], instructed, settings["nprompts"])
            name = f"{settings['model']} {settings['data']} {settings['direction']} {cell.mask} {settings['format']}"
            curve = curves.setdefault(key, Curve(f"{name} k{settings['nprompts']}", cell.n_layers))
            curve.layers[cell.layer].append(cell)
    for key, curve in curves.items():
        panel, _, fmt, _, nprompts = key
        seeds = {cell.seed for cells in curve.layers.values() for cell in cells}
        of_curve = [cell for cell in baselines[panel, fmt, nprompts] if cell.seed in seeds]
        curve.baseline = sorted(of_curve, key=lambda cell: cell.seed)
        curve.layers = {layer: sorted(cells, key=lambda c: c.seed) for layer, cells in sorted(curve.layers.items())}
    return curves


# --- Scores of resamples -------------------------------------------------------------------------------------
#
# Of texts scores are floats; of programs they are whole numbers of a unit, one program of one seed, so that all sums,
# differences and comparisons are exact. Means over seeds are therefore kept as sums: `unit` is what to divide by.


def unit(cells):
    return len(cells) if cells[0].is_text else len(cells) * cells[0].n * cells[0].samples


def scores_of(cell, counts, fast=False):
    sums = counts @ cell.stats
    if not cell.is_text:
        return sums[:, 0]
    return (fast_score_of_sums if fast else score_of_sums)(sums)


def seen(cells):
    """The sum over seeds of the score of all items."""
    return sum(scores_of(cell, np.ones((1, cell.n), dtype=np.int64))[0] for cell in cells)


def on_resamples(cells, draw_seeds):
    """Resample by resample, the sum over (drawn) seeds of the scores."""
    for cell in cells:
        if cell.resampled is None:
            counts = how_often(resamples(SEED_OF_ITEMS, cell.n), cell.n)
            cell.resampled = scores_of(cell, counts)
            cell.resampled_fast = scores_of(cell, counts, fast=True)
    scores = np.array([cell.resampled for cell in cells])
    k = len(cells)
    drawn = resamples(SEED_OF_SEEDS, k) if draw_seeds else np.tile(np.arange(k), (RESAMPLES, 1))
    return sum(scores[drawn[:, at], np.arange(RESAMPLES)] for at in range(k))


def interval(values):
    values = sorted(values)
    outside = len(values) // 40
    return [values[outside], values[-1 - outside]]


# --- The three definitions -----------------------------------------------------------------------------------


def reaching(scores, baseline, is_text):
    if baseline <= 0:
        return None
    # Whole numbers: 19/20 of the baseline, exactly.
    reached = [s >= SHARE * baseline if is_text else 20 * s >= 19 * baseline for s in scores]
    return reached.index(True) if True in reached else None


def jump(scores):
    rises = [b - a for a, b in zip(scores, scores[1:])]
    return 1 + rises.index(max(rises)) if rises and max(rises) > 0 else None


def level(intervals):
    """The first layer from which on all hold 0."""
    first = None
    for layer in reversed(range(len(intervals))):
        low, high = intervals[layer]
        if not low <= 0 <= high:
            break
        first = layer
    return first


def simultaneous(drawn, seen_differences, unit):
    """An interval for each layer, wide enough for all of them at once; `drawn` is [layer, resample]."""
    off = drawn / unit - np.array(seen_differences, dtype=float)[:, None] / unit
    deviations = np.sqrt((off**2).mean(axis=1))
    moves = deviations > 1e-9
    furthest = np.abs(off[moves] / deviations[moves, None]).max(axis=0) if moves.any() else np.zeros(drawn.shape[1])
    # A twentieth of the resamples is further off.
    times = np.sort(furthest)[len(furthest) - 1 - len(furthest) // 20]
    centres = [difference / unit for difference in seen_differences]
    return [[c - times * d - 1e-9, c + times * d + 1e-9] for c, d in zip(centres, deviations)]


def recognise(curve):
    """{definition: (layer, [low, high])}, from sums over seeds."""
    n, is_text = len(curve.layers), curve.baseline[0].is_text
    layers = list(curve.layers.values())
    scores = [seen(cells) for cells in layers]
    baseline = seen(curve.baseline)
    drawn = np.array([on_resamples(cells, True) for cells in layers])
    drawn_baseline = on_resamples(curve.baseline, True)
    differences = drawn - drawn_baseline
    intervals = [interval(row) for row in differences]
    bands = simultaneous(differences, [score - baseline for score in scores], unit(curve.baseline))
    earliest = level(bands)

    def spread(of):
        return interval([n if (layer := of(at)) is None else layer for at in range(RESAMPLES)])

    return {
        "no_difference": (level(intervals), [n if earliest is None else earliest, n]),
        "reaches": (
            reaching(scores, baseline, is_text),
            spread(lambda at: reaching(drawn[:, at], drawn_baseline[at], is_text)),
        ),
        "jump": (jump(scores), spread(lambda at: jump(drawn[:, at]))),
    }


def is_whole(curve):
    """All layers, each with the seeds of the baseline; an ablation's curve recognises nothing."""
    baseline = [cell.seed for cell in curve.baseline]
    return (
        ABLATION not in (cell.mask for cells in curve.layers.values() for cell in cells)
        and len(curve.layers) == curve.n_layers
        and bool(baseline)
        and all([cell.seed for cell in cells] == baseline for cells in curve.layers.values())
    )


# --- The table -----------------------------------------------------------------------------------------------


@dataclass
class Row:
    what: str
    against: str
    note: str = ""
    values: int = 0
    worst: tuple = (-1.0, 0.0, 0.0)
    wrong: list = field(default_factory=list)

    def compare(self, where, ours, theirs, tolerance):
        """One value of ours with theirs; nothing is equal to nothing only."""
        self.values += 1
        if ours is None or theirs is None:
            difference = 0.0 if ours is None and theirs is None else math.inf
        else:
            difference = abs(float(ours) - float(theirs))
        if math.isnan(difference):
            difference = math.inf
        share = difference / tolerance if tolerance else (math.inf if difference else 0.0)
        self.worst = max(self.worst, (share, difference, tolerance))
        if difference > tolerance:
            self.wrong.append(f"{where}: {ours} here, {theirs} there, tolerance {tolerance:.3g}")

    def same(self, where, ours, theirs):
        """The same for what is no number; says whether it is."""
        self.compare(where, int(ours == theirs), 1, 0)
        if ours != theirs:
            self.wrong[-1] = f"{where}: {ours} here, {theirs} there"
        return ours == theirs

    def compare_pair(self, where, ours, theirs, tolerance):
        for name, at in (("low", 0), ("high", 1)):
            one = [None if pair is None else pair[at] for pair in (ours, theirs)]
            self.compare(f"{where} {name}", *one, tolerance)


class Table:
    def __init__(self):
        self.rows = {}

    def row(self, what, against, note=""):
        return self.rows.setdefault((what, against), Row(what, against, note))

    def print(self):
        cells = [("what", "against", "values", "largest difference", "tolerance", "")]
        for row in self.rows.values():
            if row.values:
                _, difference, tolerance = row.worst
                verdict = f"{len(row.wrong)} DIFFER" if row.wrong else "agree"
                cells.append((row.what, row.against, f"{row.values}", f"{difference:.2g}", f"{tolerance:.2g}", verdict))
            else:
                cells.append((row.what, row.against, "0", "-", "-", row.note or "none here"))
        widths = [max(len(line[at]) for line in cells) for at in range(6)]
        for line in cells:
            text = [f"{c:>{w}}" if at in (2, 3, 4) else f"{c:<{w}}" for at, (c, w) in enumerate(zip(line, widths))]
            print("  ".join(text).rstrip())
        for row in self.rows.values():
            for number, wrong in enumerate(row.wrong):
                if number == 10:
                    print(f"  ... and {len(row.wrong) - number} more")
                    break
                print(("\n" if number == 0 else "") + f"{row.what}: {wrong}")


# --- What is compared ----------------------------------------------------------------------------------------


@dataclass
class Pairs:
    """A layer's cells and their baselines of the same seeds."""

    treated: list
    baseline: list

    @classmethod
    def of(cls, cells, baseline):
        twins = {cell.seed: cell for cell in baseline}
        both = [(cell, twins[cell.seed]) for cell in cells if cell.seed in twins]
        return cls([a for a, _ in both], [b for _, b in both])


def randomization(pairs):
    """The tool's test on the tool's deals, in arithmetic of our own."""
    swapped = deals(pairs.treated[0].n)
    scale = 1 if not pairs.treated[0].is_text else len(pairs.treated)
    differences = difference_of(pairs, swapped) / scale
    observed = abs(difference_of(pairs, np.zeros((1, swapped.shape[1]), dtype=bool))[0] / scale)
    # Of texts, equal but for rounding is equal; whole numbers are exact.
    slack = 1e-9 * max(observed, 1e-3) if pairs.treated[0].is_text else 0
    return (np.count_nonzero(np.abs(differences) >= observed - slack) + 1) / (DEALS + 1)


def difference_of(pairs, swapped):
    """Sum over seeds of score less baseline's, where the items of a row have changed places."""
    swapped = swapped.astype(np.int64)
    kept = 1 - swapped
    total = 0
    for a, b in zip(pairs.treated, pairs.baseline):
        mine, other = kept @ a.stats + swapped @ b.stats, swapped @ a.stats + kept @ b.stats
        if a.is_text:
            total = total + (fast_score_of_sums(mine) - fast_score_of_sums(other))
        else:
            total = total + (mine - other)[:, 0]
    return total


def same_draws(table, curve, told):
    """Everything that follows from the same random numbers."""
    is_text = next(iter(curve.layers.values()))[0].is_text
    sacrebleu = version("sacrebleu")
    scorer = sacrebleu if is_text else "whole numbers"
    drawn = f"SplitMix64 in Python, {scorer}"
    scores = table.row("scores and differences", scorer)
    fast = is_text and table.row("the score as the randomization below computes it", sacrebleu)
    rows = {
        "items": table.row("intervals `items`, same draws", drawn),
        "both": table.row("intervals `both`, same draws", drawn, "no several seeds here"),
        "difference": table.row("intervals `difference_interval`, same draws", drawn),
    }
    test = table.row("`p`, same deals", f"SplitMix64 in Python, {'numpy ' + np.__version__ if is_text else scorer}")
    recognised = {
        name: table.row(f"recognised by {name}: layer and interval", drawn, "no complete curve here") for name in ORDER
    }

    def compare_cells(where, cells, point):
        k = unit(cells)
        scores.compare(f"{where} score", point["score"], seen(cells) / k, 1e-9)
        for cell, told_seed in zip(cells, point["seeds"]):
            own = seen([cell]) / unit([cell])
            scores.compare(f"{where} seed {cell.seed}", told_seed["score"], own, 1e-9)
            scores.compare(f"{where} seed {cell.seed} in its file", cell.stored, own, 1e-9)
        items = [end / k for end in interval(on_resamples(cells, False))]
        rows["items"].compare_pair(f"{where} items", point["items"], items, 1e-9)
        if len(cells) > 1:
            both = [end / k for end in interval(on_resamples(cells, True))]
            rows["both"].compare_pair(f"{where} both", point["both"], both, 1e-9)
        elif point["both"] is not None:
            rows["both"].compare_pair(f"{where} both", point["both"], None, 1e-9)
        for cell in cells if is_text else []:
            for at in range(RESAMPLES):
                fast.compare(f"{where} resample {at}", cell.resampled_fast[at], cell.resampled[at], 1e-9)

    if curve.baseline:
        compare_cells(f"{curve.name} baseline", curve.baseline, told["baseline"])
    for (layer, cells), point in zip(curve.layers.items(), told["points"]):
        where = f"{curve.name} layer {layer}"
        compare_cells(where, cells, point)
        pairs = Pairs.of(cells, curve.baseline)
        if not pairs.treated:
            for name in ("difference", "difference_interval", "p"):
                scores.same(f"{where} without a baseline: {name}", point[name], None)
            continue
        k = unit(pairs.treated)
        difference = (seen(pairs.treated) - seen(pairs.baseline)) / k
        scores.compare(f"{where} difference", point["difference"], difference, 1e-9)
        drawn = on_resamples(pairs.treated, True) - on_resamples(pairs.baseline, True)
        ends = [end / k for end in interval(drawn)]
        rows["difference"].compare_pair(f"{where} difference_interval", point["difference_interval"], ends, 1e-9)
        test.compare(f"{where} p", point["p"], randomization(pairs), 1e-9)

    wanted = recognise(curve) if is_whole(curve) else {}
    found = {one["definition"]: one for one in told["recognised"]}
    if set(found) - set(ORDER):
        raise Unjudgeable(f"{curve.name}: definitions that are not known here: {sorted(set(found) - set(ORDER))}")
    for name in ORDER:
        if not wanted and name not in found:
            continue
        layer, ends = wanted.get(name, (-1, [-1, -1]))
        one = found.get(name, {"layer": -1, "interval": None})
        recognised[name].compare(f"{curve.name} layer", one["layer"], layer, 0)
        recognised[name].compare_pair(f"{curve.name} interval", one["interval"], ends, 0)


def stored_texts(table, curve):
    """The n-gram counts of the files, from their texts; says whether they are those of all cells."""
    row = table.row("n-gram counts of the stored texts", version("sacrebleu"), "no texts of the profile exact here")
    cells = [cell for cells in [curve.baseline, *curve.layers.values()] for cell in cells]
    if not all(cell.is_text and cell.exact for cell in cells):
        return False
    for cell in cells:
        counts = metric_of(cell.signature)._extract_corpus_statistics(cell.texts, [cell.references])
        for item, (own, theirs) in enumerate(zip(cell.stats, counts)):
            for at in range(len(own)):
                row.compare(f"{cell.where} item {item}", own[at], theirs[at], 0)
    return True


def holm(table, curve, told):
    row = table.row("`p_corrected`", f"{version('statsmodels')}, holm")
    p = [point["p"] for point in told["points"]]
    there = [x for x in p if x is not None]
    corrected = iter(multipletests(there, method="holm")[1]) if there else iter(())
    for x, point in zip(p, told["points"]):
        where = f"{curve.name} layer {point['layer']} p_corrected"
        row.compare(where, point["p_corrected"], None if x is None else next(corrected), 1e-12)


def student(samples):
    """The deviate that one more value is beyond as seldom as a normal one is beyond ERRORS standard errors."""
    r = len(samples)
    beyond = scipy.stats.norm.sf(ERRORS)
    return scipy.stats.t.isf(beyond, r - 1) * np.std(samples, axis=0, ddof=1) * math.sqrt(1 + 1 / r)


def scipy_bootstrap(table, curve, told, layers, generators):
    """Every interval against scipy's, which draws for itself."""
    against = f"{version('scipy')}, bootstrap"
    rows = {
        "items": table.row("intervals `items`, other draws", against),
        "both": table.row("intervals `both`, other draws", against, "no several seeds here"),
        "difference_interval": table.row("intervals `difference_interval`, other draws", against),
    }

    def compare(name, where, treated, baseline, ours):
        if ours is None:
            return
        n, k = treated[0].n, len(treated)

        def scores(cells, items):
            return np.array([scores_of(cell, how_often(items.astype(int), n), fast=True) for cell in cells])

        def difference(items, twins, seeds):
            """[resample], of [resample][item] and [resample][seed]."""
            by_seed = scores(treated, items) - (scores(baseline, twins) if baseline else 0)
            rows = np.arange(len(items))
            return sum(by_seed[seeds[:, at], rows] for at in range(k)) / unit(treated)

        def as_pairs(items, twins, axis):
            return difference(items, twins, np.tile(np.arange(k), (len(items), 1)))

        def as_two_samples(items, seeds, axis):
            return difference(items, items, seeds.astype(int))

        one = k == 1 or name == "items"
        data = (np.arange(n), np.arange(n)) if one else (np.arange(n), np.arange(k))
        drawn = []
        for seed in range(generators):
            found = scipy.stats.bootstrap(
                data,
                as_pairs if one else as_two_samples,
                paired=one,
                vectorized=True,
                n_resamples=RESAMPLES,
                method="percentile",
                rng=np.random.default_rng(seed),
            )
            drawn.append(found.bootstrap_distribution)
        step = 0 if treated[0].is_text else 1 / unit(treated)
        for at, (end, share) in enumerate((("low", 0.025), ("high", 0.975))):
            centre = np.quantile(drawn, share)
            error = ERRORS_OF_ENDS * math.sqrt(share * (1 - share) / RESAMPLES * (1 + 1 / generators))
            # Whole values of the distribution on either side, so that a jump between two of them is no difference.
            edge, method = (share - error, "lower") if ours[at] < centre else (share + error, "higher")
            tolerance = abs(np.quantile(drawn, min(max(edge, 0), 1), method=method) - centre) + step + 1e-9
            rows[name].compare(f"{where} {name} {end}", ours[at], centre, tolerance)

    def compare_cells(where, cells, point):
        if cells[0].n > 1:
            compare("items", where, cells, [], point["items"])
            compare("both", where, cells, [], point["both"])

    if curve.baseline:
        compare_cells(f"{curve.name} baseline", curve.baseline, told["baseline"])
    for point in told["points"]:
        if point["layer"] not in layers:
            continue
        where, cells = f"{curve.name} layer {point['layer']}", curve.layers[point["layer"]]
        compare_cells(where, cells, point)
        pairs = Pairs.of(cells, curve.baseline)
        if pairs.treated and cells[0].n > 1:
            compare("difference_interval", where, pairs.treated, pairs.baseline, point["difference_interval"])


@dataclass
class Test:
    """scipy's test of one layer."""

    p: float
    share: float  # of deals at least as extreme as the one seen
    equal: float  # of deals as extreme as the one seen
    deals: int
    exact: bool


def scipy_test(pairs, seed):
    n = pairs.treated[0].n
    items = np.arange(n)

    def statistic(mine, other, axis):
        # Output 0..n-1 is the condition's, n..2n-1 the baseline's.
        mine = np.atleast_2d(mine).astype(int)
        found = difference_of(pairs, mine >= n) / unit(pairs.treated)
        # What is equal but for rounding is to be equal.
        found = np.round(found, 11)
        return found if np.ndim(other) > 1 else found[0]

    exact = 2**n <= EXACT
    found = scipy.stats.permutation_test(
        (items, n + items),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT if exact else DEALS,
        alternative="two-sided",
        batch=1 << 14,
        rng=np.random.default_rng(seed),
    )
    null, observed = np.abs(found.null_distribution), abs(found.statistic)
    own = 0 if exact else 1
    counts = [np.count_nonzero(null >= observed), np.count_nonzero(null == observed)]
    share = (counts[0] + own) / (len(null) + own)
    return Test(float(found.pvalue), share, counts[1] / len(null), len(null), exact)


def scipy_tests(table, curve, told, layers):
    """{layer: Test}"""
    against = f"{version('scipy')}, permutation_test"
    twice = table.row("`p`, other deals", against)
    share = table.row("`p`, other deals", f"{against}, its null distribution")
    tests = {}
    for point in told["points"]:
        layer = point["layer"]
        pairs = Pairs.of(curve.layers[layer], curve.baseline)
        # Without a p there is nothing to compare, which the same deals have said already.
        if layer not in layers or not pairs.treated or pairs.treated[0].n < 2 or point["p"] is None:
            continue
        test = tests[layer] = scipy_test(pairs, layer)
        for row, theirs, factor in ((twice, test.p, 2), (share, test.share, 1)):
            q = theirs if test.exact else (point["p"] + theirs) / 2
            q = min(max(q, 1 / DEALS), 1.0)
            variance = q * (1 - q) / DEALS
            if not test.exact:
                # Twice a share of q/2, or a share of q.
                variance += q * (factor - q) / test.deals
            tolerance = ERRORS * math.sqrt(variance) + 1 / DEALS
            row.compare(f"{curve.name} layer {layer} p", point["p"], theirs, tolerance)
    return tests


def paired_test(curve, layers, kind, samples, seed):
    """sacrebleu's results: of the baseline, and by layer."""
    baseline = curve.baseline[0]
    systems = [("baseline", baseline.texts)]
    systems += [(str(layer), curve.layers[layer][0].texts) for layer in layers]
    os.environ["SACREBLEU_SEED"] = str(seed)
    metric = metric_of(baseline.signature)
    test = PairedTest(systems, {METRIC: metric}, [baseline.references], test_type=kind, n_samples=samples)
    results = next(scores for name, scores in test()[1].items() if name != "System")
    return dict(zip(["baseline", *layers], results))


def sacrebleu_tests(table, curve, told, tests, generators):
    """sacrebleu's own paired tests, of one seed; returns (layer, ar, bs) to be shown."""
    name = version("sacrebleu")
    why = "no single seed of the profile exact here: name one run's folder"
    ar = table.row("`p`, less deals equal to the one seen", f"{name}, paired 'ar'", why)
    bs = table.row("width of `items`, other draws", f"{name}, paired 'bs'", why)
    layers = [layer for layer in tests if [c.seed for c in curve.layers[layer]] == [curve.baseline[0].seed]]
    if len(curve.baseline) != 1 or not layers:
        return {}
    points = {point["layer"]: point for point in told["points"]}
    points["baseline"] = told["baseline"]
    p_ar = paired_test(curve, layers, "ar", DEALS, 12345)
    for layer in layers:
        test, ours, theirs = tests[layer], points[layer]["p"], p_ar[layer].p_value
        variance = sum(
            q * (1 - q) / deals
            for q, deals in (
                (min(max(ours, 1 / DEALS), 1.0), DEALS),
                (min(max(theirs, 1 / DEALS), 1.0), DEALS),
                (test.equal, math.inf if test.exact else test.deals),
            )
        )
        tolerance = ERRORS * math.sqrt(variance) + 1 / DEALS
        ar.compare(f"{curve.name} layer {layer} p", ours - test.equal, theirs, tolerance)
    repeated = [paired_test(curve, layers, "bs", RESAMPLES, seed) for seed in range(1, generators + 1)]
    for layer in ["baseline", *layers]:
        halves = [results[layer].ci for results in repeated]
        low, high = points[layer]["items"] or (math.nan, math.nan)
        where = f"{curve.name} {layer if layer == 'baseline' else f'layer {layer}'} half of items"
        # sacrebleu scores resamples in 32 bits.
        tolerance = student(halves) + high * 2**-22 + 1e-9
        bs.compare(where, (high - low) / 2, np.mean(halves), tolerance)
    return {layer: (p_ar[layer].p_value, repeated[0][layer].p_value) for layer in layers}


# --- Words ---------------------------------------------------------------------------------------------------


def told_by_the_tool(args, curves):
    """All panels: one figure draws the ablations, another all else."""
    if args.stats:
        return [panel for path in args.stats for panel in json.loads(Path(path).read_text(encoding="utf-8"))]
    panels = []
    for figure in sorted({"ablation" if key[1] == ABLATION else "masks" for key in curves}):
        with tempfile.TemporaryDirectory(prefix="parity-stats-") as folder:
            command = [args.binary, "figure", figure, *args.results, "--out", folder, "--json"]
            command += [] if METRIC == "bleu" else ["--metric", METRIC]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
            except subprocess.CalledProcessError as mistake:
                raise Unjudgeable(f"the statistics cannot be had: {mistake.stderr.strip()}") from None
            except OSError as mistake:
                raise Unjudgeable(f"the statistics cannot be had: {mistake}") from None
        panels += json.loads(done.stdout)
    return panels


def matched(table, curves, panels):
    """(curve, what the tool tells of it): the curves that both have, reduced to the layers that both have."""
    row = table.row("curves, layers and seeds", "the files")
    told = {}
    for panel in panels:
        for one in panel["curves"]:
            key = panel_key(panel["settings"])
            told[curve_key(key, one["mask"], one["format"], one["instructed"], one["nprompts"])] = one

    matches = []
    for key in {**curves, **told}:
        name = curves[key].name if key in curves else " ".join(map(str, key[1:]))
        if not row.same(f"{name}: curve there", key in told, key in curves):
            continue
        curve, one = curves[key], told[key]
        points = {point["layer"]: seeds_of(point) for point in one["points"]}
        layers = {layer: [cell.seed for cell in cells] for layer, cells in curve.layers.items()}
        good = [
            layer
            for layer in sorted({**points, **layers})
            if row.same(f"{name} layer {layer}", points.get(layer), layers.get(layer))
        ]
        curve.layers = {layer: curve.layers[layer] for layer in good}
        one["points"] = [point for point in one["points"] if point["layer"] in good]
        baseline = [cell.seed for cell in curve.baseline] or None
        if row.same(f"{name} baseline", one["baseline"] and seeds_of(one["baseline"]), baseline) and good:
            matches.append((curve, one))
    return matches


def seeds_of(told):
    return [seed["seed"] for seed in told["seeds"]]


def evenly(layers, most):
    return [layers[at * (len(layers) - 1) // max(most - 1, 1)] for at in range(most)] if most < len(layers) else layers


def print_tests(shown):
    """p of every test side by side."""
    print("""
p of the paired tests. sacrebleu's approximate randomization (ar) counts deals with a strictly greater difference only,
so its p lacks the share of deals that equal the one seen. Its bootstrap test (bs) is of another definition (resamples
whose difference, less the mean of all, is greater than the one seen) and is shown, not compared.""")
    heads = ("layer", "icl-mask", "scipy", "equal deals", "sacrebleu ar", "sacrebleu bs")
    for name, lines in shown:
        print(f"\n{name}\n" + "".join(f"{head:>14}" for head in heads))
        for layer, *values in lines:
            print(f"{layer:>14}" + "".join(f"{'-' if v is None else format(v, '.4f'):>14}" for v in values))


def report(args):
    curves = curves_of(read(args.results))
    if not curves:
        raise Unjudgeable("there are no curves in these results")
    table, shown = Table(), []
    matches = matched(table, curves, told_by_the_tool(args, curves))
    for curve, told in matches:
        progress(f"{curve.name}: same draws")
        same_draws(table, curve, told)
        exact_texts = stored_texts(table, curve)
        holm(table, curve, told)
        layers = evenly(list(curve.layers), args.layers or len(curve.layers))
        progress(f"{curve.name}: scipy's bootstrap")
        scipy_bootstrap(table, curve, told, layers, args.generators)
        progress(f"{curve.name}: scipy's permutation test")
        tests = scipy_tests(table, curve, told, layers)
        progress(f"{curve.name}: sacrebleu's paired tests")
        theirs = sacrebleu_tests(table, curve, told, tests if exact_texts else {}, args.generators)
        ours = {point["layer"]: point["p"] for point in told["points"]}
        lines = [(at, ours[at], t.p, t.equal, *theirs.get(at, (None, None))) for at, t in tests.items()]
        shown.append((curve.name, lines))
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {len(matches)} curves\n")
    table.print()
    print_tests(shown)
    return 1 if any(row.wrong for row in table.rows.values()) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="folders of runs, or ones above several")
    parser.add_argument("--binary", default="icl-mask", help="the tool (icl-mask)")
    parser.add_argument("--metric", choices=["bleu", "chrf"], default="bleu", help="what texts are scored with (bleu)")
    parser.add_argument("--stats", action="append", metavar="FILE", help="the tool's JSON, instead of calling it")
    parser.add_argument("--layers", type=int, default=0, metavar="N", help="other draws for N layers a curve (all)")
    parser.add_argument("--generators", type=int, default=20, metavar="R", help="repeat a bootstrap R times (20)")
    args = parser.parse_args()
    global METRIC
    METRIC = args.metric
    try:
        if args.generators < 5:
            raise Unjudgeable("a standard deviation needs at least 5 generators")
        return report(args)
    except Unjudgeable as mistake:
        print(f"parity-stats: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against icl-mask.
        traceback.print_exc()
        return 2


if __name__ == "__main__":
    sys.exit(main())
