"""Small inputs that are right, for fuzz/targets to break: made of what lies in tests/goldens, configs and notebooks/sample.

Writes fuzz/seeds/TARGET/*, the files around a broken one to fuzz/seeds/right/*, and the words of a format, as the
code that reads it names them, to fuzz/seeds/TARGET.dict. Usage: python3 fuzz/seeds.py
"""

import gzip
import hashlib
import json
import re
import shutil

from seed_models import FAMILIES, ROOT, SEEDS, chat, compact, folder_variants, gguf_models, model_folder, tokenizers, write

# The order is that of fuzz/targets/results.rs, as is that of runs and of the files of each.
RUN_FILES = [
    "manifest.json",
    "items.jsonl",
    "TTF/layer-1.json",
    "TTF/layer-1.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "TTF/layer-2.partial.jsonl",
]
LORA_FILES = [
    "manifest.json",
    "items.jsonl",
    "lora/layer-0.json",
    "lora/layer-0.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "lora/layer-0/training.json",
    "lora/layer-0/adapter_config.json",
    "lora/layer-0/adapter_model.safetensors",
]


# --- Text ------------------------------------------------------------------------------------------------------


def yaml():
    for which, kind in enumerate(["experiments", "experiments", "data", "format", "model", "mask", "experiments"]):
        for path in (ROOT / "configs" / kind).glob("*.yaml"):
            lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
            write(f"yaml/{which}-{path.stem}", bytes([which]) + "\n".join(lines).encode())
    grid = "model: [smollm2-135m, bloom-560m]\nseed: 0..2\nnprompts: [0, 5]\ndirection: en-fr\ntest: a.tsv\ndemonstrations: b.tsv\nlimit: 3\n"
    write("yaml/0-grid", b"\0" + grid.encode() + b"mask: none,TTF\nfrom_layer: 0..3\nmemory: 4GiB\nsamples: 2\ntemperature: 0.8\n")
    write("yaml/1-grid", b"\1" + grid.encode() + b"lora: {layers: 0..3, rank: 2, train_size: [10, 20], projection: [q, v]}\n")
    write("yaml/2-code", b"\2kind: code\ntest: {file: a.jsonl, lines: 1..2}\ndemonstrations: leave-one-out\nfields: {id: n}\n")


def corpora():
    table = "id\tsource\ttarget\n1\tThe cat.\tLe chat.\n2\tA dog.\tUn chien.\n"
    rows = '{"id": "a", "source": "The cat.", "target": "Le chat."}\n{"id": 7, "source": "A dog.", "target": "Un chien."}\n'
    human = {"task_id": "H/0", "prompt": 'def f(x):\n    """Double."""\n', "entry_point": "f", "canonical_solution": "    return 2 * x\n", "test": "def check(f):\n    assert f(2) == 4\n"}
    mbpp = {"task_id": 11, "text": "Double it.", "code": "def f(x):\n    return 2 * x", "test_list": ["assert f(2) == 4"]}
    problems = "".join(json.dumps(problem) + "\n" for problem in (human, mbpp))
    aligned = "one\ntwo\0un\ndeux\n"
    quoted = 'id,source,target\n1,"The ""cat"".","Le chat,\nle chien."\n2,A dog.,Un chien.\n'
    listed = "[" + rows.strip().replace("\n", ",\n") + "]"
    spoken = "fr,en\nLe chat.,The cat.\nUn chien.,A dog.\n"
    nested = "".join(compact({"meta": {"id": at}, "translation": {"en": "a", "fr": "b"}}) + "\n" for at in range(2))
    asked = compact([{"question": {"text": "What?"}, "answer": "b"}, {"question.text": "Who?", "answer": "c"}])
    named = {"meta": {"id": "a", "name": "f"}, "ask": "def f():\n", "do": "    return 1\n", "check": ["assert f() == 1"]}
    contents = [table, rows, quoted, listed, packed(table), packed(quoted), packed(listed)]
    contents += [problems, packed(problems)]
    contents += [nested, asked, spoken, compact(named) + "\n", aligned]
    for which, content in enumerate(contents):
        content = content if isinstance(content, bytes) else content.encode()
        write(f"corpus/{which}", bytes([which]) + content)
    write("corpus/0-crlf", b"\0\xef\xbb\xbfsource\ttarget\r\na\tb\r\n")
    write("corpus/0-languages", b"\0id\teng_Latn\tit-IT\n1\ta\tb\n")
    write("corpus/0-packed", b"\0" + packed(table) + packed("3\ta\tb\n"))
    write("corpus/2-semicolons", b"\2" + quoted.replace(",", ";").encode())
    write("corpus/3-lines", b"\3" + rows.encode())
    for file in sorted((ROOT / "tests/goldens/parquet").glob("*.parquet")):
        write(f"corpus/{len(contents)}-{file.stem}", bytes([len(contents)]) + file.read_bytes())


def packed(text):
    return gzip.compress(text.encode(), mtime=0)


def score():
    hypotheses, references = "The cat sat.\n\u732b\u304c\u597d\u304d\u3002\n", "The cat sat down.\n\u732b\u304c\u3044\u308b\u3002\n"
    problem = {"task_id": "H/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n", "test": "def check(f): f(1)\n"}
    programs = [{"task_id": "H/0", "completion": "    return x\n"}, {"id": "H/0", "text": "x \ud83d"}, {"task_id": "H/0", "solution": "def f(x): return x\n"}]
    # As JSON of ASCII alone, which may hold half a surrogate pair.
    programs = "".join(json.dumps(program) + "\n" for program in programs)
    files = {"hypotheses.txt": hypotheses, "references.txt": references, "programs.jsonl": programs, "problems.jsonl": compact(problem) + "\n"}
    files |= {"hypotheses.gz": packed(hypotheses), "programs.gz": packed(programs)}
    for which, (name, content) in enumerate(files.items()):
        content = content if isinstance(content, bytes) else content.encode()
        write(f"right/score/{name}", content)
        # Each with every tokenizer of BLEU.
        for tokenizer in range(5 if name == "hypotheses.txt" else 1):
            write(f"score/{name}-{tokenizer}", bytes([which + tokenizer * len(files)]) + content)


# --- Results ---------------------------------------------------------------------------------------------------


def results():
    sample = ROOT / "notebooks/sample/results/qwen2.5-coder-0.5b/phrases.en-fr/qa_lines-k5-seed0"
    texts = {name: (sample / name).read_text() for name in RUN_FILES[:-1]}
    manifest = json.loads(texts["manifest.json"])
    manifest["cells"] = {"none": [24], "TTF": [1, 2]}
    manifest["typed"] = typed(manifest["settings"], mask="TTF", from_layer="1..2")
    lines = {name: [json.loads(line) for line in texts[name].splitlines()] for name in RUN_FILES if name.endswith("1.jsonl") or name.endswith("baseline.jsonl")}
    partial = [{**line, "seconds": 0.5} for line in lines["TTF/layer-1.jsonl"][:2]]
    texts |= {"manifest.json": compact(manifest), "TTF/layer-2.partial.jsonl": jsonl(partial)}
    # One score file holds the sha256 of its generations, the other is as earlier versions wrote it.
    baseline = json.loads(texts["none/baseline.json"])
    baseline["generations_sha256"] = sha256(texts["none/baseline.jsonl"])
    assert manifest["settings_sha256"] == sha256(compact(manifest["settings"]))
    run(0, "mt", {**texts, "none/baseline.json": compact(baseline)})
    # The same as programs, every other of which passes.
    manifest["settings"]["task"] = "code"
    manifest["settings"]["direction"] = "en-py"
    settings = manifest["settings"]
    dtype = settings.pop("dtype")
    settings |= {"sampling": {"samples": 1, "temperature": 0.8, "top_p": 1.0}, "dtype": dtype}
    # Of the settings as the program writes them: in this order, without white space.
    manifest["settings_sha256"] = sha256(compact(settings))
    items = [json.loads(line) for line in texts["items.jsonl"].splitlines()]
    problem = {"prompt": "def f():\n", "test": "assert f() == 1\n", "entry_point": "f"}
    texts |= {"manifest.json": compact(manifest), "items.jsonl": jsonl({**item, "problem": problem} for item in items)}
    for name, generations in lines.items():
        for at, line in enumerate(generations):
            del line["stats"]
            line |= {"verdict": "passed"} if at % 2 else {"verdict": "failed", "reason": "AssertionError"}
        texts[name] = jsonl(generations)
    for name in ("TTF/layer-1.json", "none/baseline.json"):
        record = json.loads(texts[name])
        record["generations_sha256"] = sha256(texts[name + "l"])
        record = {key: value for key, value in record.items() if not re.match("bleu|brevity|chrf|signature", key)}
        record |= {"pass@1": 0.5, "direction": "en-py", "pass@1_interval": [1 / 6, 5 / 6], "samples": 1, "outcomes": {"passed": 3, "failed": 3}}
        record["settings_sha256"] = manifest["settings_sha256"]
        record["runner"] = {"python": "3.11.2", "time_limit": 5, "memory_limit": 1 << 30, "sandbox": "landlock"}
        texts[name] = compact(record)
    texts["TTF/layer-2.partial.jsonl"] = jsonl({**line, "seconds": 0.5} for line in lines["TTF/layer-1.jsonl"][:2])
    run(len(RUN_FILES), "code", texts)
    adapted = sample.parent / "instr_none_QA-k0-seed0-lora10"
    files = {name: (adapted / name).read_bytes() for name in LORA_FILES}
    manifest = json.loads(files["manifest.json"])
    manifest["cells"] = {"none": [24], "lora": [0]}
    lora = (ROOT / "configs/experiments/default-lora.yaml").read_text().split("lora:\n")[1]
    lora = dict(line.strip().split(": ") for line in lora.splitlines())
    lora |= {"layers": "0", "train_size": "10", "rank": "2"}
    manifest["typed"] = {**typed(manifest["settings"]), "lora": {key: [value] for key, value in lora.items()}}
    run(2 * len(RUN_FILES), "lora", {**files, "manifest.json": compact(manifest)})


def typed(settings, **more):
    """All settings of a call, those that it starts from included, each a list of words."""
    lines = (ROOT / "configs/experiments/default.yaml").read_text().splitlines()
    words = dict(line.split(": ") for line in lines if not line.startswith("#"))
    words |= {key: settings[key] for key in ("model", "direction", "format", "nprompts", "seed")}
    words |= {"test": "phrases.tsv", "demonstrations": "more.tsv", "limit": settings["n"], **more}
    return {key: [str(value)] for key, value in words.items()}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def jsonl(values):
    return "".join(compact(value) + "\n" for value in values)


def run(first, name, files):
    for at, (file, content) in enumerate(files.items()):
        content = content if isinstance(content, bytes) else content.encode()
        write(f"right/{name}/{file}", content)
        write(f"results/{name}-{file.replace('/', '-')}", bytes([first + at]) + content)


# --- Dictionaries ----------------------------------------------------------------------------------------------


# What chat templates are made of.
JINJA = """{{ }} {%- -%} {%+ {# #} for in if elif else endif endfor set endset macro endmacro call filter block generation
endgeneration namespace loop loop.index0 loop.first is defined not none true | ~ [::-1] range() dict() cycler() join replace batch
slice tojson indent length selectattr groupby map list sort unique items split strip upper format raise_exception strftime_now
messages message.content add_generation_prompt bos_token tools"""


def words(target, *sources, more=""):
    """Short literals of the code that reads a format: its keys, names and types."""
    text = "".join(path.read_text() for source in sources for path in sorted(ROOT.glob(source)))
    found = set(re.findall(r'"([a-zA-Z0-9_.-]{2,40})"', text)) | set(re.findall(r"^    (?:pub )?([a-z_0-9]+): ", text, re.M))
    found |= set(more.split())
    write(f"{target}.dict", "".join(f'"{word}"\n' for word in sorted(found)))


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    tokenizers()
    for family in FAMILIES:
        model_folder(family)
    folder_variants()
    chat()
    gguf_models()
    yaml()
    corpora()
    score()
    results()
    words("gguf", "src/model/arch/gguf.rs", "src/model/checkpoint/gguf*.rs", "src/prompt/tokenizer/*.rs")
    words("folder", "src/model/arch/*.rs", "src/model/checkpoint/safetensors.rs", "src/lora/peft/*.rs", "src/prompt/tokenizer/*.rs")
    words("tokenizer", "fuzz/targets/tokenizer.rs")
    words("chat", "src/prompt/chat/*.rs", more=JINJA)
    words("yaml", "src/config/*.rs", "src/data/config.rs", "src/data/parse.rs")
    words("corpus", "src/data/*.rs", "fuzz/targets/corpus.rs")
    words("score", "src/verbs/score/*.rs", "src/data/problems.rs")
    words("results", "src/results/record.rs", "src/results/scores.rs", "src/results/lines.rs", "src/config/settings.rs")
