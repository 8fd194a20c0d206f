"""Makes tests/goldens/ter.json: sacrebleu's TER of a few hundred nasty pairs, long ones among them.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install sacrebleu==2.6.0
    /tmp/peers/bin/python tests/goldens/make_ter.py

The file records the versions it was made with. `cargo test --test goldens score` compares.
"""

import json
import pathlib
import platform
import random

import sacrebleu
from make_bleu import PAIRS
from sacrebleu.metrics import TER
from sacrebleu.metrics.lib_ter import translation_edit_rate

# Beside the pairs of the other scores: moves, and lengths that differ.
MOVES = [
    ("on the mat the cat sat", "the cat sat on the mat"),
    ("b c d a", "a b c d"),
    ("d a b c", "a b c d"),
    ("a b a b a b a", "b a b a b a b"),
    ("a a a b b b", "b b b a a a"),
    ("x a b c y d e f z", "d e f x a b c y z"),
    ("the the the", "the"),
    ("the", "the the the"),
    ("a b c", "c b a"),
    ("e d c b a", "a b c d e"),
    ("a b c d e f g h i j k l", "l k j i h g f e d c b a"),
    ("a b c d e f g h i j k l m n", "c d e f g h i j k l m n a b"),
    ("A B\u2003C\x1cD", "a b c d"),
]


def moved(rng, words):
    """The words with some moved in blocks, dropped, added or replaced."""
    words = list(words)
    for _ in range(rng.choice([0, 1, 1, 2, 3, 6])):
        start = rng.randrange(len(words) + 1)
        block = words[start : start + rng.choice([1, 1, 2, 3, 5, 9, 14])]
        del words[start : start + len(block)]
        at = rng.randrange(len(words) + 1)
        words[at:at] = block
    kept = [word for word in words if rng.random() > 0.08]
    return [f"w{rng.randrange(99)}" if rng.random() < 0.1 else word for word in kept]


def random_pair(rng):
    """Words of a small vocabulary, as many of them the same, and another order of them."""
    length = rng.choice([1, 2, 4, 7, 12, 20, 35, 60])
    vocabulary = rng.choice([2, 4, 10, 40, 200])
    reference = [f"w{rng.randrange(vocabulary)}" for _ in range(length)]
    hypothesis = moved(rng, reference)
    if rng.random() < 0.15:
        hypothesis = hypothesis[: rng.randrange(len(hypothesis) + 1)]
    if rng.random() < 0.15:
        hypothesis += [f"w{rng.randrange(vocabulary)}" for _ in range(rng.choice([1, 5, 30]))]
    return " ".join(hypothesis), " ".join(reference)


# Long ones, written as seeds: how many words of the reference, how large its vocabulary, and how many of the hypothesis.
LONG = [(150, 30, 150), (150, 500, 140), (260, 8, 240), (300, 3, 300), (200, 60, 5), (5, 60, 200), (400, 20, 3), (130, 2, 1),
        (90, 90, 90), (120, 1000, 120), (500, 2000, 480), (64, 5, 640)]


def long_pair(rng, length, vocabulary, kept):
    reference = [f"w{rng.randrange(vocabulary)}" for _ in range(length)]
    hypothesis = moved(rng, reference)
    hypothesis = (hypothesis * (kept // max(1, len(hypothesis)) + 1))[:kept]
    return " ".join(hypothesis), " ".join(reference)


def main():
    rng = random.Random(20060808)
    pairs = MOVES + [random_pair(rng) for _ in range(230 - len(MOVES))] + [long_pair(rng, *sizes) for sizes in LONG]
    every = PAIRS + pairs
    golden = {"made_with": {"python": platform.python_version(), "sacrebleu": sacrebleu.__version__}, "pairs": pairs, "ter": []}
    for case_sensitive in [False, True]:
        metric = TER(case_sensitive=case_sensitive)
        corpus = metric.corpus_score([h for h, _ in every], [[r for _, r in every]])
        counts = lambda line: metric._preprocess_segment(line).split()
        golden["ter"].append({
            "lowercase": not case_sensitive, "signature": str(metric.get_signature()), "score": corpus.score,
            "edits": [translation_edit_rate(counts(h), counts(r))[0] for h, r in every],
            "sentences": [metric.sentence_score(h, [r]).score for h, r in every],
        })
    path = pathlib.Path(__file__).parent / "ter.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(len(every), "pairs,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
