#!/usr/bin/env python3
"""Can the study's released code find and read what `icl-mask export --layout sia2024` writes?

    sia2024.py --binary target/release/icl-mask RESULTS

All runs in RESULTS are exported to a temporary folder, except those made with --drop-context, which have no place in that
layout beside the ordinary ones. There the files are looked up as the study's notebook does: by the path templates of its
configs/file_paths (suzyahyah/where_does_in-context-learning_happen_in_LLMs), filled in from the coordinates in our score
files. Every cell must be found, nothing else may be there, and every number must be that of the score file, rounded to
three digits by numpy.around as in the study's src/evaluate/bleu.py (pass@1 is not rounded there).
Exit code: 0 all is as it should be, 1 something is not, 2 no verdict possible.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# configs/file_paths/default.yaml and mask_context_from.yaml of the study, with ${...} resolved.
CELL = (
    "format-{format.name}/{sample_prompts.name}/gen-{generator.name}{data.doclevel}/{data.trainset}-{data.testset}/"
    "{model.model_size}-nprompts{sample_prompts.nprompts}-seed{seed}.{data.direction}.json"
)
BASELINE = f"results/baselines/{CELL}"
MASKED = (
    "results/mask_context_from/instructions-{model.causal_mask.instructions}_prompts-{model.causal_mask.prompts}"
    f"_query-{{model.causal_mask.query}}/layer-{{model.mask_layer}}/{CELL}"
)
ROUNDED = ("bleu", "bleu1", "bleu2", "bleu3", "bleu4", "brevity_penalty")

# What the study calls models and corpora that have another name here.
MODELS = {
    "gpt-neo-125m": "gptn125M",
    "gpt-neo-2.7b": "gptn2.7B",
    "bloom-3b": "bloom3b",
    "llama-3.1-8b": "Llama-3.1-8B",
    "llama-3.1-8b-instruct": "Llama-3.1-8B-Instruct",
    "starcoder2-3b": "starcoder2-3B",
    "starcoder2-7b": "starcoder2-7B",
}
SETS = {"mbpp-humaneval": ("MBPP", "HEVAL"), "humaneval": ("HEVAL", "HEVAL")}


class Unjudgeable(Exception):
    """There is no saying whether the layout is right."""


def read(path):
    return json.loads(path.read_bytes())


def arguments_of(record):
    """The study's `args`, as far as its templates read them."""
    trainset, testset = SETS.get(record["data"], (record["data"].upper(),) * 2)
    hidden = [letter == "T" for letter in record["mask"]] if record["mask"] != "none" else [None] * 3
    return {
        "format": SimpleNamespace(name=record["format"]),
        "sample_prompts": SimpleNamespace(name="no_lengthfilter-random", nprompts=record["nprompts"]),
        "generator": SimpleNamespace(name="default"),
        "data": SimpleNamespace(doclevel="", trainset=trainset, testset=testset, direction=record["direction"]),
        "model": SimpleNamespace(
            model_size=MODELS.get(record["model"], record["model"]),
            mask_layer=record["from_layer"],
            causal_mask=SimpleNamespace(instructions=hidden[0], prompts=hidden[1], query=hidden[2]),
        ),
        "seed": record["seed"],
    }


def wanted_of(record):
    """What the study's scorer would have written."""
    if "pass@1" in record:
        return {"pass@1": record["pass@1"]}
    tokenizer = "Zh" if "tok:zh" in record["signature"] else "13a"
    return {**{key: float(np.around(record[key], 3)) for key in ROUNDED}, "tokenizer": tokenizer}


def records(results):
    """Folders of runs to export, and the score files of their cells that the layout has a place for."""
    manifests = sorted(results.rglob("manifest.json"))
    apart = ("drop_context", "lora", "adapter")
    settings = {path.parent: read(path)["settings"] for path in manifests}
    folders = [folder for folder, of in settings.items() if not any(of.get(key) for key in apart)]
    cells = [path for folder in folders for path in sorted(folder.glob("*/*.json"))]
    cells = [path for path in cells if path.parent.name not in ("all", "ablate-attention")]
    if not cells:
        raise Unjudgeable(f"{results}: no cells to export")
    return folders, {path: read(path) for path in cells}


def check(binary, results, out):
    """What is wrong, and how many cells and numbers were compared."""
    folders, cells = records(results)
    command = [binary, "export", "--layout", "sia2024", "--out", out, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"export failed: {done.stderr.strip()}"], 0, 0
    wrong, numbers, found = [], 0, set()
    for path, record in cells.items():
        template = BASELINE if record["mask"] == "none" else MASKED
        file = out / template.format(**arguments_of(record))
        found.add(file)
        if not file.is_file():
            wrong.append(f"{path}: not found at {file.relative_to(out)}")
            continue
        data = read(file)
        if type(data) is list:
            if len(data) != 1:
                wrong.append(f"{file.relative_to(out)}: {len(data)} objects")
                continue
            data = data[0]
        wanted = wanted_of(record)
        numbers += len(wanted)
        if data != wanted:
            wrong.append(f"{file.relative_to(out)}: {data}, should be {wanted}")
    stray = sorted(path for path in out.rglob("*") if path.is_file() and path not in found)
    wrong += [f"{path.relative_to(out)}: belongs to no cell" for path in stray]
    return wrong, len(found), numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as out:
            wrong, files, numbers = check(arguments.binary, arguments.results, Path(out))
    except (Unjudgeable, OSError, KeyError, ValueError) as error:
        print(f"sia2024: {error!r}" if isinstance(error, KeyError) else f"sia2024: {error}", file=sys.stderr)
        return 2
    for message in wrong[:20]:
        print(message, file=sys.stderr)
    if len(wrong) > 20:
        print(f"and {len(wrong) - 20} more", file=sys.stderr)
    if not wrong:
        print(f"the study's layout: {files} files found by its path templates, {numbers} values as they should be")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
