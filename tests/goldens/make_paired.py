"""Makes tests/goldens/paired.json: intervals and paired tests of the sample results' TTF curve, by measure, from sacreBLEU.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install sacrebleu==2.6.0
    /tmp/peers/bin/python tests/goldens/make_paired.py

Texts and references are those of notebooks/sample/results; n-gram counts and scores are sacreBLEU's. sacreBLEU's own paired
tests (`bs`, `ar`) run on the draws of icl-mask: its generator of random numbers is replaced by SplitMix64, written down
again here. `bs` scores resamples in 32 bits, so intervals are computed once more in 64, and must agree. The file records
the versions it was made with. `cargo test --test measures` compares.
"""

import json
import pathlib
import platform

import numpy as np
import sacrebleu
from sacrebleu import significance
from sacrebleu.metrics import BLEU, CHRF

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = "notebooks/sample/results/qwen2.5-coder-0.5b/phrases.en-fr/qa_lines-k5-seed0"
LAYERS = [0, 6, 12, 16, 18, 19, 20, 23]
RESAMPLES, DEALS, SEED = 1000, 10_000, 12345
MEASURES = {
    "bleu": (BLEU(lowercase=True), lambda score: score.score),
    "bleu1": (BLEU(lowercase=True), lambda score: score.precisions[0]),
    "bleu2": (BLEU(lowercase=True), lambda score: score.precisions[1]),
    "brevity_penalty": (BLEU(lowercase=True), lambda score: score.bp),
    "chrf": (CHRF(), lambda score: score.score),
}


class SplitMix64:
    """What `numpy.random.default_rng` is replaced by."""

    MASK = (1 << 64) - 1

    def __init__(self, _seed=None):
        self.state = SEED

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.MASK
        return z ^ (z >> 31)

    def below(self, bound):
        while True:
            high, low = divmod(self.next() * bound, 1 << 64)
            if low >= (1 << 64) % bound:
                return high

    def choice(self, n, size, replace):
        assert replace
        return np.array([[self.below(n) for _ in range(size[1])] for _ in range(size[0])])

    def integers(self, high, size, dtype):
        """Deals of items, 64 a random number, lowest bit first. sacreBLEU's `True` leaves the baseline's output in place."""
        assert high == 2
        words = [[self.next() for _ in range(0, size[1], 64)] for _ in range(size[0])]
        swapped = [[row[item // 64] >> (item % 64) & 1 for item in range(size[1])] for row in words]
        return ~np.array(swapped, dtype=bool)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def ends(values):
    values = sorted(values)
    outside = len(values) // 40
    return [values[outside], values[-1 - outside]]


class Measure:
    """sacreBLEU's metric, with a score that may be one of its parts."""

    def __init__(self, metric, part):
        self.metric, self.part = metric, part

    def score(self, sums):
        return self.part(self.metric._compute_score_from_stats([int(count) for count in sums]))


def paired(measure, system, baseline, references):
    """Score, interval, and the paired statistics of one system against a baseline."""
    metric = measure.metric
    stats, of_baseline = (
        np.array(metric._extract_corpus_statistics(texts, [references])) for texts in (system, baseline)
    )
    n = len(references)
    score, base = measure.score(stats.sum(0)), measure.score(of_baseline.sum(0))
    drawn = SplitMix64().choice(n, (RESAMPLES, n), True)
    resampled = [measure.score(stats[row].sum(0)) for row in drawn]
    differences = [a - measure.score(of_baseline[row].sum(0)) for a, row in zip(resampled, drawn)]
    swapped = ~SplitMix64().integers(2, (DEALS, n), bool)
    mine = np.where(swapped[:, :, None], of_baseline, stats).sum(1)
    other = (stats + of_baseline).sum(0) - mine
    dealt = np.abs([measure.score(a) - measure.score(b) for a, b in zip(mine, other)])
    seen = abs(score - base)
    slack = 1e-9 * max(seen, 1e-3)
    return {
        "score": score,
        "items": ends(resampled),
        "difference": score - base,
        "difference_interval": ends(differences),
        "p": (np.count_nonzero(dealt >= seen - slack) + 1) / (DEALS + 1),
        "strictly": (np.count_nonzero(dealt > seen + slack) + 1) / (DEALS + 1),
    }


def check(found, measure, system, baseline, references):
    """The same by sacreBLEU's paired tests, which know whole scores only."""
    whole = measure.part(measure.metric.corpus_score(system, [references])) == measure.metric.corpus_score(
        system, [references]
    ).score
    if not whole:
        return
    for kind, samples in (("bs", RESAMPLES), ("ar", DEALS)):
        systems = [("baseline", baseline), ("system", system)]
        test = significance.PairedTest(systems, {"m": measure.metric}, [references], test_type=kind, n_samples=samples)
        result = next(scores for name, scores in test()[1].items() if name != "System")[1]
        assert abs(result.score - found["score"]) < 1e-9
        if kind == "bs":
            half = (found["items"][1] - found["items"][0]) / 2
            assert abs(result.ci - half) < 1e-3, (result.ci, half)
        else:
            # sacreBLEU counts strictly greater differences; rounding breaks some of its ties.
            assert found["strictly"] - 1e-9 <= result.p_value <= found["p"] + 1e-9, (found, result.p_value)


def main():
    significance.np.random.default_rng = SplitMix64
    folder = ROOT / RUN
    references = [item["target"] for item in lines(folder / "items.jsonl")]
    texts = {layer: [line["clean"] for line in lines(folder / f"TTF/layer-{layer}.jsonl")] for layer in LAYERS}
    baseline = [line["clean"] for line in lines(folder / "none/baseline.jsonl")]
    record = json.loads((folder / "none/baseline.json").read_text(encoding="utf-8"))
    case = "lc" if "case:lc" in record["signature"] else "mixed"
    golden = {
        "made_with": {"python": platform.python_version(), "sacrebleu": sacrebleu.__version__, "numpy": np.__version__},
        "run": RUN,
        "measures": {},
    }
    for name, (metric, part) in MEASURES.items():
        if isinstance(metric, BLEU):
            metric = BLEU(lowercase=case == "lc")
        measure = Measure(metric, part)
        layers = {}
        for layer in LAYERS:
            found = paired(measure, texts[layer], baseline, references)
            if name in ("bleu", "chrf"):
                check(found, measure, texts[layer], baseline, references)
            layers[layer] = {key: value for key, value in found.items() if key != "strictly"}
        golden["measures"][name] = layers
        print(name, {layer: round(value["p"], 4) for layer, value in layers.items()})
    path = ROOT / "tests/goldens/paired.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
