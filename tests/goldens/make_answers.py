"""Makes tests/goldens/answers.json: what torchmetrics' SQuAD metric and lm-evaluation-harness say of short answers.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch torchmetrics==1.9.0 lm-eval==0.4.13
    /tmp/peers/bin/python tests/goldens/make_answers.py

The file records the versions it was made with. `cargo test --test goldens answers` compares.
"""

import importlib.metadata
import itertools
import json
import pathlib
import platform
import random

from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter
from torchmetrics.functional.text.squad import _normalize_text, squad

# Written by hand: an answer and the right ones.
PAIRS = [
    ("", [""]),
    ("", ["a"]),
    ("", ["Paris"]),
    ("Paris", [""]),
    (" ", ["the"]),
    ("the", ["a", "an"]),
    ("Paris", ["Paris"]),
    (" paris.\n", ["Paris"]),
    ("The  Beatles", ["beatles", "the Beatles (band)"]),
    ("the the the cat", ["the cat cat", "cat"]),
    ("cat cat cat dog", ["cat dog dog", "dog"]),
    ("A dog. An apple? The end!", ["dog apple end"]),
    ("a.b", ["ab", "a b", "b"]),
    ("the-end", ["end", "theend"]),
    ("The_end a_1 an_", ["end", "theend a1 an"]),
    ("(the) [a] {an}", [""]),
    ("theatre another and Thea", ["atre other d"]),
    ("«the» “a” ‘an’ — the…", ["«» “” ‘’ — …", "«the» “a” ‘an’ — the…"]),
    ("the’s a's", ["’s as", "s s"]),
    ("don't", ["dont", "don’t"]),
    ("O'Neill & Sons, Inc.", ["ONeill Sons Inc", "oneill  sons inc"]),
    ("a\u0301 the\u0301 an\u0300d", ["\u0301", "á thé ànd", "a\u0301 the\u0301 an\u0300d"]),
    ("e\u0301te\u0301", ["été", "e\u0301te\u0301"]),
    ("ÉTÉ", ["été", "e\u0301te\u0301"]),
    ("İstanbul", ["istanbul", "i\u0307stanbul", "İSTANBUL"]),
    ("ISPARTA ıI", ["isparta ii", "isparta ıi"]),
    ("STRASSE", ["straße", "strasse"]),
    ("ẞ", ["ß", "ss"]),
    ("ΟΔΥΣΣΕΥΣ ΣΑΣ Σ", ["οδυσσευς σας σ", "οδυσσευσ σασ σ"]),
    ("ΑΣ. ΑΣ’Α Σ'", ["ας ας’α σ", "ας ασ’α σ"]),
    ("ﬁne ﬂow", ["fine flow", "ﬁne ﬂow"]),
    ("Ａ１２ Ｔｈｅ", ["A12 The", "ａ１２ ｔｈｅ"]),
    ("１２", ["12", "１２", ""]),
    ("٣٤ ३४", ["34 34", "٣٤ ३४"]),
    ("1,000", ["1000", "1 000"]),
    ("$1,000.50", ["1000.50", "100050"]),
    ("-5", ["5", "−5"]),
    ("+5%", ["5"]),
    ("3.14", ["314", "3,14"]),
    ("42", ["forty-two", "42.", "the 42"]),
    ("4 2", ["42"]),
    ("route 66", ["route 67", "route"]),
    ("H2O", ["HO", "h2o"]),
    ("NaN", ["nan", "NaN.", "None"]),
    ("None", ["none", ""]),
    ("inf", ["infinity", "-inf"]),
    ("N/A", ["na", "NA"]),
    ("true", ["True", "TRUE."]),
    ("new\nline", ["new line", "newline"]),
    ("tab\tand\u00a0nbsp\u2003em", ["tab and nbsp em"]),
    ("\x1cseparators\x1fhere\x85now", ["separators here now"]),
    ("zero\u200bwidth \ufeffbom", ["zerowidth bom", "zero\u200bwidth \ufeffbom"]),
    ("soft\u00adhyphen", ["softhyphen"]),
    ("北京", ["北京。", "北 京", "北京市"]),
    ("東京、日本", ["東京 日本", "東京、日本"]),
    ("القاهرة؟", ["القاهرة"]),
    ("नई दिल्ली।", ["नई दिल्ली"]),
    ("😀 👍🏽", ["😀", "👍🏽 😀"]),
    ("½ cup ² x³", ["12 cup 2 x3", "½ cup ² x³"]),
    ("Ⅷ ⅷ", ["viii viii", "ⅷ ⅷ"]),
    ("the\u0345 Aa Ⓐ ⓐ", ["aa ⓐ ⓐ"]),
    ("ªa ºthe a² the₂", ["ªa ºthe a² the₂", "ª º ² ₂"]),
    ("a৴ the৶ an٫", ["a৴ the৶ ٫", "৴ ৶ ٫"]),
    ("a・the", ["・", "a・the"]),
    ("a‿the a⁀an", ["‿ ⁀", "a‿the a⁀an"]),
    ("`a` ~the~ ^an^ |a| \\the\\", [""]),
    ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", [""]),
    ("¡¿§¶†‡•€£", ["", "¡¿§¶†‡•€£"]),
    ("[invalid]", ["invalid"]),
    ("x" * 60, ["x" * 59, "X" * 60]),
    ("a b c d e f g h", ["h g f e d c b a", "b c"]),
]

# What random answers are strung together from.
PIECES = (
    "a an the A An The THE Paris paris PARIS of France london 1 42 1,000 -3 $5 5% 3.5 １ ２ x_a the_ 'the' \"a\" (an) U.S. "
    "O'Neill the-end naïve nai\u0308ve İ ı Σ ΑΣ ß ẞ ﬁ 北京 東京。 ½ ² … — « » ’s a\u0301 😀 no yes NaN"
).split()
GAPS = [" "] * 10 + ["", "  ", "\n", "\t", "\u00a0", "\u3000", "\x1c", ". ", ", "]

TEXTS = [
    "",
    "The answer is 42.",
    "#### 1,234\n#### -5",
    "x #### 7",
    "So the answer is (B).\n",
    "the answer is A, no: The Answer is (C)",
    "[A] [B] (C) {D}",
    "abc",
    "a b\nc d\n",
    "12 apples, $3.50 each, 7",
    " spaced out \x1f",
    "été ÉTÉ e\u0301",
    "1 2 3\n",
    "yes. Yes! YES",
    "\\boxed{12} and \\boxed{x+1}",
    "a&b~c[d]e-f",
    "<b>bold</b>",
    "हिन्दी ไทย عَرَبِيّ",
]
PATTERNS = [
    r"#### (\-?[0-9\.\,]+)",
    r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
    r"answer is \(?([A-J])\)?",
    r"(?i)answer is \(?([a-j])\)?",
    r"The answer is (\-?[0-9\.\,]+).",
    r"((?<=The answer is )(.*)(?=.))",
    r"(?<=answer is )(.*)(?=.)",
    r"(\([A-Z]\))",
    r"[[(]([A-Z])[])]",
    r"[]a]+",
    r"[^]a]+",
    r"[a&&b~~]+",
    r"[\w.-]+",
    r"\w+",
    r"\d+",
    r"\b(yes|no)\b",
    r"(?i)\b(yes|no)\b",
    r".*",
    r"(.*)",
    r"(?s).*",
    r"|x",
    r"x*",
    r"a|",
    r"(a)?(b)?",
    r"(a)?|(b)",
    r"(\d)|(q)|()",
    r"(\d+)$",
    r"\d+\Z",
    r"(?m)^(.+)$",
    r"^(.+)$",
    r"([a-z])\s\1|(\w)\s",
    r"\\boxed\{(.*?)\}",
    r"\\boxed\{([^{}]+)\}",
    r"(?P<first>[a-z]+) (?P<second>[a-z]+)",
    r"\<b\>(.*?)\</b\>",
    r"\s+",
    r"[\s,]+",
    r"\S+\B",
    r"[^\W\d]+",
    r"[\W.]+",
    r"\B\w",
    r"(?x) \d+  # digits",
    r"(?:the|an?) (\w+)",
    r"(?=(\w))",
    r"$",
]


def random_pair(rng):
    """A random answer, and right ones with words dropped, moved, replaced or in another case."""
    join = lambda words: "".join(word + rng.choice(GAPS) for word in words)
    words = [rng.choice(PIECES) for _ in range(rng.choice([1, 1, 2, 3, 5, 8]))]

    def other():
        changed = [rng.choice(PIECES) if rng.random() < 0.15 else word for word in words if rng.random() > 0.12]
        changed = [word.upper() if rng.random() < 0.1 else word for word in changed]
        if rng.random() < 0.2:
            rng.shuffle(changed)
        return join(changed)

    return join(words), [other() for _ in range(rng.choice([1, 1, 2, 3]))]


def squad_case(answer, right):
    score = squad(
        [{"prediction_text": answer, "id": "0"}], [{"answers": {"answer_start": [0] * len(right), "text": right}, "id": "0"}]
    )
    return [score["exact_match"].item() / 100, score["f1"].item() / 100, _normalize_text(answer)]


def harness_case(answer, right):
    """Exact match with the first right answer, for every choice of case, punctuation and numbers to ignore.

    numpy keeps texts at the length of the longest, and lower() can make a text longer: a second, equal pair of long texts
    makes room. It always matches.
    """
    long = "x" * 500
    matches = ""
    for case, punctuation, numbers in itertools.product([False, True], repeat=3):
        found = exact_match_hf_evaluate(
            [answer, long], [right[0], long], ignore_case=case, ignore_punctuation=punctuation, ignore_numbers=numbers
        )["exact_match"]
        matches += str(int(found == 1))
    return matches


def regex_case(pattern):
    """What the pattern takes out of each text, as the first match and as the last."""
    taken = lambda which: RegexFilter(pattern, group_select=which).apply([TEXTS], [{}])[0]
    return [pattern, taken(0), taken(-1)]


def main():
    rng = random.Random(20250811)
    pairs = PAIRS + [random_pair(rng) for _ in range(340 - len(PAIRS))]
    golden = {
        "made_with": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ["torchmetrics", "torch", "lm_eval", "numpy"]},
        },
        "pairs": [[answer, right, *squad_case(answer, right), harness_case(answer, right)] for answer, right in pairs],
        "texts": TEXTS,
        "regex": [regex_case(pattern) for pattern in PATTERNS],
    }
    path = pathlib.Path(__file__).parent / "answers.json"
    path.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(len(pairs), "pairs,", len(PATTERNS), "patterns on", len(TEXTS), "texts,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
