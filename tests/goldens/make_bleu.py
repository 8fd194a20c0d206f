"""Makes tests/goldens/bleu.json: what Python sacrebleu says of a few hundred nasty pairs under many settings.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install sacrebleu==2.6.0
    /tmp/peers/bin/python tests/goldens/make_bleu.py

The file records the versions it was made with. `cargo test --test goldens score` compares.
"""

import itertools
import json
import logging
import pathlib
import platform
import random

import numpy
import regex
import sacrebleu
from sacrebleu.metrics import BLEU, CHRF

logging.disable(logging.WARNING)  # it advises effective order for sentences, which some settings leave out on purpose

# Written by hand: what tokenizers, case mapping and short texts go wrong on.
PAIRS = [
    ("", ""),
    ("", "a reference"),
    ("a hypothesis", ""),
    (" ", "\n"),
    ("the", "the"),
    ("the cat", "the cat"),
    ("the cat sat", "the cat sat"),
    ("the cat sat on", "the cat sat on"),
    ("the the the the the the the", "the cat is on the mat"),
    ("the cat is on the mat", "the the the the the the the"),
    ("It costs $1,000.50, or 1.000,50 €.", "It costs $ 1,000.50 , or 1.000,50€ ."),
    ("in 1999-2000, pages 3-4 and 10 - 12", "in 1999 - 2000, pages 3-4 and 10-12."),
    ("a..b,,c.,d", "a. .b, ,c. ,d"),
    (".5 and 5. and ,5 and 5, and 5.5.5", ". 5 and 5 . and , 5 and 5 , and 5.5 .5"),
    ("&quot;A&amp;B&quot; &lt;b&gt; &amp;lt; &apos; &amp;quot;", "\"A&B\" <b> < ' \""),
    ("&quot &nbsp; & &&amp;;", "& quot &nbsp; & & & ;"),
    ("one <skipped> two<skipped>three", "one two three"),
    ("a hyphen-\nated word", "a hyphenated word"),
    ("ends with a dash-\n", "ends with a dash-"),
    ("ends with a dash -\n", "ends with a dash -"),
    ("two\nlines here", "two lines here"),
    ("trailing newline\n", "trailing newline"),
    ("trailing separator\x1e", "trailing separator"),
    ("carriage\r\nreturn here\r", "carriage return here"),
    ("tab\tand\x0bvertical\x0cfeed", "tab and vertical feed"),
    ("unit\x1fsep\x1erecord\x1dgroup\x1cfile", "unit sep record group file"),
    ("next\x85line and\u2028line sep\u2029para", "next line and line sep para"),
    ("no\u00a0break narrow\u202fthin\u2009em\u2003ideographic\u3000end", "no break narrow thin em ideographic end"),
    ("zero\u200bwidth and\ufeffbom and\u2060joiner", "zero width and bom and joiner"),
    ("null\x00char and\x07bell", "null char and bell"),
    ("soft\u00adhyphen", "softhyphen"),
    ("HELLO World, It's ME", "hello world, it's me"),
    ("STRASSE straße STRAẞE", "strasse straße straße"),
    ("İstanbul ISPARTA ıI", "i\u0307stanbul isparta ıi"),
    ("ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ΑΣ. Σ'Α", "οδυσσευς σας σ ας. σ'α"),
    ("ÀÉÎÕÜ ŒUVRE ÆON Ǆ ǅ", "àéîõü œuvre æon ǆ ǆ"),
    ("e\u0301te\u0301", "été"),
    ("ﬁne ﬂow Å Ω K", "fine flow å ω k"),
    ("ᲐᲑᲒ ꭰ Ꭰ Ⴀ", "აბგ Ꭰ ꭰ ⴀ"),
    ("«Où?» demanda-t-il ; l’été… – oui — non", "« Où ? » demanda-t-il ; l'été ... - oui - non"),
    ("“Quoted” ‘text’ „here“ ‚and‘ ‹there›", "\"Quoted\" 'text' \"here\" 'and' <there>"),
    ("¿Qué? ¡Vaya! 5º 3ª", "¿ Qué ? ¡ Vaya ! 5 º 3 ª"),
    ("10% 5‰ 20°C ½ ² ³ Ⅷ ٣٫٥ ३.५", "10 % 5 ‰ 20 °C ½ ² ³ Ⅷ ٣٫٥ ३.५"),
    ("１，０００．５ fullwidth ｐｅｒｃｅｎｔ％", "１ ， ０００ ． ５ fullwidth ｐｅｒｃｅｎｔ ％"),
    ("3.14! 2,5? 7;8 9:10 11/12", "3.14 ! 2,5 ? 7 ; 8 9 : 10 11 / 12"),
    ("x=1+2*3^4<5>6|7~8", "x = 1 + 2 * 3 ^ 4 < 5 > 6 | 7 ~ 8"),
    ("a_b `c` {d} [e] (f) @g #h $i \\j", "a _ b ` c ` { d } [ e ] ( f ) @ g # h $ i \\ j"),
    ("it's don't 'quoted' rock'n'roll", "it 's don't ' quoted ' rock 'n' roll"),
    ("https://example.org/a?b=c&d=e#f", "https : / / example.org / a ? b = c & d = e # f"),
    ("mail: a.b@c.d, tel. +1-555-0100", "mail : a.b @ c.d , tel. + 1 - 555 - 0100"),
    ("-5 --5 5- 5-- a-5 5-a -", "- 5 -- 5 5 - 5 - - a-5 5 - a -"),
    ("U.S. vs. the U.K., e.g. Dr. No.", "U.S. vs. the U.K. , e.g. Dr. No ."),
    ("wait... what?! no!!", "wait ... what ? ! no ! !"),
    ("你好，世界。今天天气很好！", "你好，世界！今天天气不错。"),
    ("我有3个苹果和1,000.5元，OK?", "我有 3 个苹果和 1,000.5 元, OK？"),
    ("中文English混合text，“引号”——破折号……", "中文 English 混合 text，\"引号\"--破折号..."),
    ("𠀀𠀁𪛖 and 㐀㐁 and 豈更", "𠀀 𠀁 𪛖 and 㐀 㐁 and 豈 更"),
    ("\u2000a\u2001b\u2010c\u20acd\u2192e\u2a6df\u2a6eg", "a b \u2010 c \u20ac d \u2192 e \u2a6d f \u2a6e g"),
    ("東京は日本の首都です。カタカナ、ﾊﾝｶｸ", "東京は、日本の首都です。カタカナ・ハンカク"),
    ("안녕하세요, 세계! 한국어 문장입니다.", "안녕하세요 세계! 한국어 문장이다."),
    ("สวัสดีชาวโลก วันนี้อากาศดี", "สวัสดีชาวโลก วันนี้ อากาศดี"),
    ("مرحبا بالعالم، كيف حالك؟", "مرحبا بالعالم ، كيف الحال ؟"),
    ("שלום־עולם! מה שלומך?", "שלום עולם! מה שלומך ?"),
    ("नमस्ते दुनिया। कैसे हो?", "नमस्ते दुनिया । कैसे हैं?"),
    ("Привет, МИР! Ёлка №5", "привет , мир ! елка № 5"),
    ("😀😃 ok👍🏽 family👨‍👩‍👧 flag🇫🇷", "😀 😃 ok 👍🏽 family 👨‍👩‍👧 flag 🇫🇷"),
    ("❤️ ☀ ✓ ★ ♥ ⌘ → ∑ ≤ ∞", "❤ ☀️ ✓ ★ ♥ ⌘ -> ∑ ≤ ∞"),
    ("€ £ ¥ ₹ ¢ $ ₿ © ® ™ § ¶ †", "€ £ ¥ ₹ ¢ $ ₿ (c) (r) (tm) § ¶ †"),
    ("\U0001fac8 new \u2e60 signs \U00012550\u2e60", "\U0001fac8 new signs \u2e60 \U00012550"),
    ("a" * 40, "a" * 39 + "b"),
    ("x y " * 20, "y x " * 21),
    ("<s>Le chat</s> <pad><pad>", "Le chat"),
    ("Le chat est assis sur le tapis.", "Le chat est assis sur le tapis."),
    ("le chat s'est assis sur un tapis", "Le chat était assis sur le tapis."),
    ("Q: what? A: that", "A: what? Q: that"),
]

# What random lines are strung together from.
PIECES = (
    "the The THE a an cat cats dog sat on mat . , ! ? ; : - -- ... 's n't ' \" ( ) [ ] / & &amp; &quot; &lt; % $ € "
    "1 2 10 1,000 1.5 1,000.5 1999-2000 3- -3 5. .5 le La été Être l'eau «bon» “x” – — … İ ß ẞ Σ ΟΣ ΑΣ. ﬁ "
    "你 好 世界 ，。 ！ 東京 カナ 한국 😀 👍🏽 ❤️ ½ ² ٣ № ° × ÷ ± U.S. e.g. Mr. well-known x_y #tag @me"
).split()
GAPS = [" "] * 12 + ["", "", "", "  ", "\u00a0", "\u3000", "\x1c", "\x1f", "\t", "\u2009", "\u200b", "-\n", "\n"]

SMOOTH = [("exp", None), ("none", None), ("floor", None), ("floor", 0.37), ("add-k", None), ("add-k", 0.5), ("add-k", 2)]


def random_pair(rng):
    """A random line and a copy with words dropped, swapped, replaced or in another case."""
    words = [rng.choice(PIECES) for _ in range(rng.choice([1, 2, 3, 4, 6, 9, 14]))]
    other = []
    for word in words:
        chance = rng.random()
        if chance < 0.1:
            continue
        other.append(rng.choice(PIECES) if chance < 0.22 else word.upper() if chance < 0.27 else word)
    if len(other) > 3 and rng.random() < 0.3:
        other[1], other[2] = other[2], other[1]
    join = lambda parts: "".join(part + rng.choice(GAPS) for part in parts)
    return join(other), join(words)


def bleu_settings():
    """Every tokenizer and case with plain smoothing; every smoothing and order with one tokenizer."""
    tokenizers = ["13a", "intl", "char", "none", "zh"]
    yield from ((tok, lower, "exp", None, True) for tok, lower in itertools.product(tokenizers, [False, True]))
    yield from ((tok, True, method, value, eff) for tok, eff in [("13a", False), ("intl", True)] for method, value in SMOOTH)


def bleu_case(pairs, tok, lower, method, value, effective):
    hyps, refs = [h for h, _ in pairs], [r for _, r in pairs]
    metric = BLEU(tokenize=tok, lowercase=lower, smooth_method=method, smooth_value=value, effective_order=effective)
    corpus = metric.corpus_score(hyps, [refs])
    return {
        "tokenize": tok, "lowercase": lower, "smooth": method, "value": value, "effective_order": effective,
        "signature": str(metric.get_signature()), "line": corpus.format(), "score": corpus.score,
        "precisions": corpus.precisions, "brevity_penalty": corpus.bp,
        "sys_len": corpus.sys_len, "ref_len": corpus.ref_len,
        "sentences": [metric.sentence_score(h, [r]).score for h, r in pairs],
    }


def chrf_case(pairs, **settings):
    metric = CHRF(**settings)
    corpus = metric.corpus_score([h for h, _ in pairs], [[r for _, r in pairs]])
    return {
        **settings, "name": corpus.name, "signature": str(metric.get_signature()), "score": corpus.score,
        "sentences": [metric.sentence_score(h, [r]).score for h, r in pairs],
    }


def bootstrap_case(pairs):
    """sacrebleu's own bootstrap of the whole corpus: another generator, so only about the same numbers."""
    corpus = BLEU().corpus_score([h for h, _ in pairs], [[r for _, r in pairs]], n_bootstrap=1000)
    return {"mean": corpus._mean, "half_width": corpus._ci}


def main():
    rng = random.Random(20240612)
    pairs = PAIRS + [random_pair(rng) for _ in range(330 - len(PAIRS))]
    golden = {
        "made_with": {
            "python": platform.python_version(), "sacrebleu": sacrebleu.__version__, "regex": regex.__version__,
            "numpy": numpy.__version__,
        },
        "pairs": pairs,
        "bleu": [bleu_case(pairs, *settings) for settings in bleu_settings()],
        "chrf": [
            chrf_case(pairs),
            chrf_case(pairs, word_order=2),
            chrf_case(pairs, lowercase=True, whitespace=True),
            chrf_case(pairs, word_order=2, eps_smoothing=True, beta=3, char_order=4),
        ],
        "bootstrap": bootstrap_case(pairs),
    }
    path = pathlib.Path(__file__).parent / "bleu.json"
    write = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    path.write_text(write(golden) + "\n")
    print(len(pairs), "pairs,", len(golden["bleu"]), "+", len(golden["chrf"]), "settings,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
