"""Makes tests/goldens/pieces.json: how Python's sentencepiece cuts nasty lines by two tiny models that it trains, and sacrebleu's
BLEU of these pieces.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install sacrebleu==2.6.0 sentencepiece==0.2.3
    /tmp/peers/bin/python tests/goldens/make_pieces.py

The models are trained on random lines, so that no one's text is in them, with a few rules for characters: the usual ones fill
200 KB. `--model FILE.model` writes the same for any other model to /tmp/pieces.json, which the test reads where
`ICL_MASK_PIECES` names it. The file records the versions it was made with. `cargo test --test goldens pieces` compares.
"""

import base64
import json
import pathlib
import platform
import random
import sys
import tempfile

import sacrebleu
import sentencepiece
from make_bleu import PAIRS, random_pair
from sacrebleu.metrics import BLEU

RULES = [("ﬁ", "fi"), ("ｅ", "e"), ("e\u0301", "\u00e9"), ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("½", "1/2"),
         ("\u00ad", ""), ("…", "..."), ("...", "…"), ("\u212b", "\u00e5")]


def trained(folder, lines, **options):
    text, rules, prefix = folder / "lines.txt", folder / "rules.tsv", folder / "model"
    text.write_text("\n".join(lines))
    code = lambda characters: " ".join(f"{ord(c):X}" for c in characters)
    rules.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(prefix), model_type="unigram", minloglevel=2, num_threads=1,
        normalization_rule_tsv=str(rules), **options,
    )
    return prefix.with_suffix(".model").read_bytes()


def case(model, pairs):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    lines = sorted({line for pair in pairs for line in pair})
    cut = lambda line: " ".join(pieces.EncodeAsPieces(line))
    metric = BLEU(tokenize="none")
    plain = metric.tokenizer
    metric.tokenizer = lambda line: plain(cut(line))
    corpus = metric.corpus_score([h for h, _ in pairs], [[r for _, r in pairs]])
    return {
        "model": base64.b64encode(model).decode(), "lines": [[line, pieces.EncodeAsPieces(line)] for line in lines],
        "bleu": corpus.score, "sentences": [metric.sentence_score(h, [r]).score for h, r in pairs],
    }


def main():
    rng = random.Random(20220501)
    texts = [text for _ in range(3000) for text in random_pair(rng)]
    pairs = PAIRS + [random_pair(rng) for _ in range(60)] + [("......." * 9, "-" * 70), ("  a   b  ", "▁a ▁▁b"), ("the" * 30, "\u3000")]
    if sys.argv[1:2] == ["--model"]:
        models, path = [pathlib.Path(sys.argv[2]).read_bytes()], pathlib.Path("/tmp/pieces.json")
    else:
        path = pathlib.Path(__file__).parent / "pieces.json"
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            models = [
                trained(folder, texts, vocab_size=220, character_coverage=0.985),
                trained(folder, texts, vocab_size=420, character_coverage=0.985, byte_fallback=True, add_dummy_prefix=False,
                        remove_extra_whitespaces=False),
            ]
    golden = {
        "made_with": {"python": platform.python_version(), "sacrebleu": sacrebleu.__version__,
                      "sentencepiece": sentencepiece.__version__},
        "pairs": pairs, "models": [case(model, pairs) for model in models],
    }
    path.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(len(pairs), "pairs,", len(models), "models,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
