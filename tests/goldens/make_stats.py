"""Makes tests/goldens/stats.json: Holm's correction by statsmodels, intervals of a mean by numpy, pass@k by the estimator of the
human-eval paper (Chen et al., 2021) in fractions.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tests/peers/requirements-stats.txt
    /tmp/peers/bin/python tests/goldens/make_stats.py

Resamples are drawn with SplitMix64, written down again here, so that the intervals are of the same draws. The file records the
versions it was made with. `cargo test --test stats_goldens` compares.
"""

import json
import pathlib
import platform
from fractions import Fraction
from math import comb

import numpy as np
import statsmodels
from statsmodels.stats.multitest import multipletests

MASK = (1 << 64) - 1
RESAMPLES, SEED = 1000, 12345


def splitmix(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def below(stream, bound):
    """Lemire's multiply and reject."""
    for number in stream:
        high, low = divmod(number * bound, 1 << 64)
        if low >= (1 << 64) % bound:
            return high


def interval(values):
    stream, values = splitmix(SEED), np.array(values)
    means = [values[[below(stream, len(values)) for _ in values]].mean() for _ in range(RESAMPLES)]
    # The order statistics that sacreBLEU takes: one fortieth of the resamples lies beyond either end.
    ordered, outside = np.sort(means), RESAMPLES // 40
    low, high = float(ordered[outside]), float(ordered[RESAMPLES - 1 - outside])
    return {"values": values.tolist(), "low": low, "high": high, "mean": float(np.mean(means))}


def holm(p):
    return {"p": p, "corrected": multipletests(p, method="holm")[1].tolist()}


def pass_at_k(n, c, k):
    return {"n": n, "c": c, "k": k, "estimate": float(1 - Fraction(comb(n - c, k), comb(n, k)))}


numbers = np.random.default_rng(7)
golden = {
    "made_by": "tests/goldens/make_stats.py",
    "versions": {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "statsmodels": statsmodels.__version__,
    },
    "holm": [
        holm([0.01]),
        holm([0.04, 0.01, 0.03, 0.005]),
        holm([0.02, 0.02, 0.5, 0.02, 1.0]),
        holm([0.9, 0.8, 0.7]),
        holm([round(p, 4) for p in numbers.uniform(0, 0.1, 24).tolist()]),
    ],
    "intervals": [
        interval([float(item % 4 == 0) for item in range(164)]),
        interval([round(value, 3) for value in numbers.gamma(2.0, 1.0, 50).tolist()]),
        interval([1.0, 2.0, 4.0, 8.0, 16.0]),
    ],
    "pass_at_k": [pass_at_k(n, c, k) for n, c, k in [(1, 1, 1), (5, 0, 1), (20, 3, 1), (20, 3, 5), (20, 18, 5), (200, 7, 100)]],
}
path = pathlib.Path(__file__).with_name("stats.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
