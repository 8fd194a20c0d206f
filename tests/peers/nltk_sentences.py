"""Measures first sentences against NLTK, and makes tests/goldens/sentences.json.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install nltk==3.8.1 pandas
    /tmp/peers/bin/python tests/peers/nltk_sentences.py
    /tmp/peers/bin/python tests/peers/nltk_sentences.py --texts prose.txt --out /tmp/prose.json
    ICL_MASK_SENTENCES=/tmp/prose.json cargo test --test goldens score -- --nocapture

The golden file holds what NLTK's PunktSentenceTokenizer says when it is given our word lists (src/score/english_*.txt);
`cargo test` checks that ours says the same. This script then counts how often those lists change the answer: against an
untrained tokenizer, and, with `--punkt-tab DIR`, against NLTK's trained English model (the folder `punkt_tab/english` of
NLTK's data, whole or in part). Use an NLTK before 3.10: later ones count curly quotation marks as closing.
"""

import argparse
import collections
import io
import json
import pathlib
import platform
import random

import nltk
import pandas
from nltk.tokenize import punkt

HERE = pathlib.Path(__file__).parent
LISTS = HERE.parent.parent / "src" / "score"

# What a translation model may write, and what a sentence splitter goes wrong on.
TEXTS = [
    "", " ", "\n", ".", "...", "?!", " . ", "a", "A.", "a. b", "A. B", "a.b", "a .b", "a . b", "1.", "1. 2.", "1. The", "1. the",
    "Le chat est assis. Il dort.", "Le chat est assis.Il dort.", "« Où vas-tu ? » demanda-t-il. Je pars.", "«Bonjour.» Il part.",
    "O gato dorme. Ele sonha...", "Ils ont dit : \"Non !\" Puis ils sont partis.", "C'est fini! Vraiment? Oui.",
    "“It is over.” She left.", "‘Stop.’ He stopped.", "\"It is over.\" She left.", "'Stop.' He stopped.", "He said 'no.' twice. Yes.",
    "He left (at last.) Then it rained.", "He left (at last). Then it rained.", "[One.] [Two.]", "{One.} Two.", "One.) Two.", "One.\") Two.",
    "One.\"-- he said. Two.", "One.\"--he said. Two.", "One.\"- he. Two.", "One?\" he asked. Two.", "One!) two. Three", "One.\" Two.", "One.\"\nTwo.",
    "Mr. Smith is here. He waits.", "Mr.Smith is here. He waits.", "MR. SMITH IS HERE. HE WAITS.", "It was Mr. The crowd left.", "the vice-pres. spoke. Yes.",
    "Anglo-Dr. Who came. Yes.", "On Jan. 5 it rained. Then", "On Jan. Five it rained. Then", "In the U.S. it rained. Then", "In the U.S. The rain fell.",
    "In the U.S. Rain fell. Then", "at 5 p.m. Monday. Then", "at 5 p.m. The end. Then", "at 5 p.m.! Then", "e.g. this one. Then", "i.e. That one. Then",
    "Fish, meat, etc. are food. Then", "Fish, meat, etc. Then more. End", "No. 5 won. Then", "Fig. 2 shows. Then", "J. S. Bach wrote. He did.", "J.S. Bach wrote. He did.",
    "So did I. The rest left.", "So did I. Rest left.", "So did I. rest left.", "Plan B. However, it failed.", "vitamin C. It is good.", "Team X. 5 won. Yes.",
    "α. Βήτα. Γ", "É. Zola wrote. Yes.", "_. Under. Yes", "². Two. Yes", "5. five. Six", "5. Five. Six", "-5. five. Six", ".5. five. Six", "1,000. men. Six",
    "1999-2000. then. Six", "5a. five. Six", "٣. then. Six", "Ⅷ. then. Six", "in 1999. Then", "in 1999. then. End", "Pi is 3.14. Then", "v1.2.3 is out. Then", "$5. Then",
    "Well... maybe. Yes.", "Well... Maybe. Yes.", "Well... The end. Yes.", "Well.... Maybe. Yes.", "Well . . . Maybe. Yes.", "Well . . . The. Yes.", "Well. . . . Maybe. Yes",
    "Well... \"Maybe.\" Yes.", "Well...\" Maybe. Yes.", "Well... (the end). Yes", "Well..? Yes. No", "Well?.. Yes. No", "Well.!. Yes. No", "Hm.. ok. Yes", "... and then. Yes", "... The end. Yes",
    "What?! No. Yes", "What!? no. Yes", "What ? ! No. Yes", "What ?! No. Yes", "a ?) ! b. C", "? ! . a. B", ". ?! a. B", ".) . a", ". . a. B", "Yes !!! no. Yes", "Yes!!!no. Yes",
    "Wow!:) nice. Yes", "ok?; no. Yes", "a.; b. C", "a.: b. C", "a., b. C", "a.* b. C", "a.@b. C d", "a.'s b. C", "end.'' Next. One", "end.'' \" Next. One", "end. ) Next. One", "end. \" next. One",
    "mail a.b@c.d. Then", "see http://a.b/c?d=e. Then", "a.\nB. C", "a.\n\nb. C", "a\n\nb. C", "Mr.\nSmith. C", "Mr.\n\nThe. C", "a.\r\nB. C", "a.\tB. C", "a.\x0bB. C", "a.\u00a0B. C d", "a\u00a0b. C.\u00a0D e. F",
    "a.\u2003B. C", " .). B c", " ?!) b. C", "a .\u00a0.\u00a0.\u00a0B. C", ".\u00a0.\u00a0.\u00a0The end. C", "b.\u00a0.\u00a0.\u00a0.\u00a0The. C", "a.\u3000B. C", "a.\u2028B. C", "a.\x1cB. C", "a.\x85B. C", "a.\u200bB. C", "你好。再见。", "你好. 再见. 好", "مرحبا. كيف؟ نعم.", "Привет. Пока.", "привет. пока.", "😀. 😃. 😄", "ok. 😃 yes. No",
    "Oui.</s>", "Oui.</s> Non.", "Oui. </s><pad>", "Oui<|endoftext|>", "Oui. <|endoftext|>Non.", "<pad>Oui. Non.", "Oui.\nA: Non.", "Bonjour - le monde. Oui", "Bonjour -- le monde. Oui", "a.--b. C", "a. --b. C", "a. - b. C",
    "Dr. No. 5 vs. No. 6. Yes", "St. John's vs. St. Paul's. Yes", "Sen. J. Doe (D., Ore.) spoke. Yes", "The Inc. The Corp. A Co. X.", "He has a Ph.D. She too.", "He has a Ph.D. in it. Yes", "Gen. Maj. Col. Lt. Yes. No",
]

FRAGMENTS = (
    "The the He he It it In But Paris Smith dogs ran over 5 10 1,000 1.5 -3 2024 Mr. Dr. Mrs. U.S. p.m. Jan. Inc. No. etc. e.g. vs. J. I. C. X. A. "
    "St. Co. Ph.D. w. (yes) (yes.) (Yes.) \"no\" \"no.\" \"No.\" 'so' 'so.' [x.] ... .. . ? ! ?! !!! -- - : ; , a.b 3.14 well... end. End. done? Done! "
    "stop.\" Stop.) été. Été. « » “oui.” l'eau. ok.; so.: co-op. Anglo-Co. 5. 10. 1999. 5) a) B. é. the. The. I it's don't."
).split()
GAPS = [" "] * 14 + ["  ", "\n", "\n\n", "\t", "\u00a0", ""]

# What a model may generate, to go through the study's clean-up.
GENERATED = [
    "", " ", "\n", "Bonjour.", " Bonjour. \n", "Bonjour.\nQ: How? A: Comment?", "Q: at once", "Bonjour A: encore Q: x", "Bonjour\nA: encore", "\nA: Bonjour", " A: Bonjour", "Bonjour.</s>",
    "Bonjour. </s><pad><pad>", "</s>", "<pad>", "Bonjour</s> le</s> monde. Oui.", "NA", "None", "nan", "null", "N/A", "none", "NaN", "n/a", "#N/A", "<NA>", " nan ", "nan</s>", "na", "-nan", "1.#IND", "blank",
    "Une \"citation\". Deux.", "\"Tout.\" Rien.", "tab\tau milieu. Fin.", "ligne\nnouvelle. Fin.", "'apostrophe'. Fin.", "a,b;c. Fin.", "Un<|endoftext|>", "Un. Deux.<|endoftext|>", "Un <|endoftext|> deux. Trois.", "5", "1.5", "True",
    "\u00a0Bonjour.\u3000", "\x1cBonjour.\x1f Oui.", "A:", "Q:", "A: Q:", "Q:A:", "BonjourQ:", "BonjourA: x", "¿Qué? Sí.", "你好。", "<pad>Oui. Non.", "Mr. Dupont part. Oui.", "Bonjour ... The end. x",
]


def word_list(name):
    return set((LISTS / name).read_text().split())


def parameters(abbreviations, starters):
    """Starters count as seen capitalised at a sentence's beginning and lower case within."""
    params = punkt.PunktParameters()
    params.abbrev_types = set(abbreviations)
    for word in starters:
        params.add_ortho_context(word, punkt._ORTHO_BEG_UC | punkt._ORTHO_MID_LC)
    return params


def trained_parameters(folder):
    """The trained model's files, those that are there; without orthographic contexts, ours stand in."""
    lines = lambda name: (folder / name).read_text().splitlines() if (folder / name).exists() else []
    contexts = [line.split("\t") for line in lines("ortho_context.tab")]
    params = parameters(lines("abbrev_types.txt"), [] if contexts else word_list("english_starters.txt"))
    params.sent_starters = set(lines("sent_starters.txt"))
    params.collocations = {tuple(line.split("\t")) for line in lines("collocations.tab")}
    params.ortho_context.update({word: int(flags) for word, flags in contexts})
    return params


def first(tokenizer, text):
    """NLTK's first sentence; it has none for a text of white space."""
    return next(iter(tokenizer.tokenize(text)), "")


def texts(count):
    rng = random.Random(2006)
    made = []
    for _ in range(count):
        words = [rng.choice(FRAGMENTS) for _ in range(rng.choice([2, 3, 4, 6, 9]))]
        made.append("".join(word + rng.choice(GAPS) for word in words))
    return TEXTS + made


def clean_cases(tokenizer):
    """The study's clean-up: string methods, a round trip through CSV, the first sentence."""
    cases = []
    for question, answer in [("Q:", "A:"), ("Q:", "\nA:"), (" ", "\n")]:
        for raw in GENERATED:
            text = raw
            for delimiter in (question, answer):
                if delimiter.strip():
                    text = text.split(delimiter)[0].strip()
            text = text.replace("</s>", "").replace("<pad>", "")
            cases.append([raw, question, answer, text])
    buffer = io.StringIO()
    pandas.DataFrame({"gen_text": [case[3] for case in cases]}).to_csv(buffer, index=False, sep="\t")
    buffer.seek(0)
    for case, cell in zip(cases, pandas.read_csv(buffer, sep="\t", skip_blank_lines=False)["gen_text"], strict=True):
        scored = first(tokenizer, cell) if isinstance(cell, str) else "blank"
        for special in ("</s>", "<|endoftext|>", "<pad>"):
            scored = scored.replace(special, "")
        case.append(scored)
    return cases


def report(name, all_texts, ours, params):
    theirs = punkt.PunktSentenceTokenizer(params) if params else punkt.PunktSentenceTokenizer()
    differ = [text for text in all_texts if first(ours, text) != first(theirs, text)]
    equal = len(all_texts) - len(differ)
    print(f"{name}: the same first sentence in {equal} of {len(all_texts)} texts ({100 * equal / len(all_texts):.2f} %)")
    followed = collections.Counter(min(first(ours, text), first(theirs, text), key=len).split()[-1] for text in differ)
    print("   differ after:", ", ".join(f"{word} ({count})" for word, count in followed.most_common(12)))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--texts", type=pathlib.Path, help="texts to measure on instead, one a line")
    arguments.add_argument("--out", type=pathlib.Path, default=HERE.parent / "goldens" / "sentences.json")
    arguments.add_argument("--punkt-tab", type=pathlib.Path, help="the folder punkt_tab/english of NLTK's data")
    given = arguments.parse_args()
    ours = punkt.PunktSentenceTokenizer(
        parameters(word_list("english_abbreviations.txt"), word_list("english_starters.txt"))
    )
    all_texts = given.texts.read_text().splitlines() if given.texts else texts(600)
    golden = {
        "made_with": {"python": platform.python_version(), "nltk": nltk.__version__, "pandas": pandas.__version__},
        "sentences": [[text, first(ours, text)] for text in all_texts],
        "clean": clean_cases(ours),
    }
    given.out.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(len(all_texts), "texts,", given.out.stat().st_size, "bytes, NLTK", nltk.__version__)
    report("untrained NLTK", all_texts, ours, None)
    if given.punkt_tab:
        whole = (given.punkt_tab / "ortho_context.tab").exists()
        name = "trained NLTK" if whole else "NLTK with the trained model's lists, but our orthographic contexts"
        report(name, all_texts, ours, trained_parameters(given.punkt_tab))


if __name__ == "__main__":
    main()
