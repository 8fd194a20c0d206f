#!/usr/bin/env python3
"""Does icl-mask hide what a mask of rules says, from whom, and where?

Reads results folders of tasks that choose among options, and computes the log-probability of every option again: the prompt from
the manifest's strings, the tokens by the model's published rules, the spans from the places of the parts in the text, and each layer
of transformers' model with a mask of rows times columns of its own. The script has its own definition of each mask.

    masks.py --model models/smollm2-135m.gguf [--items N] RESULTS ...

Exit code 0: every log-probability is within 1e-4 and every choice is the same; 1: one is not; 2: the input cannot be judged.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from parity import MaskedModel
from prompts import ByteLevelBpe, Source, Unjudgeable

TOLERANCE = 1e-4
EVERYWHERE = 10**9
# Name -> (hidden spans, spans that are left out of these, rows that do not read them, number of layers).
RULES = {
    "hide=examples.outputs": (["outputs"], [], "all", EVERYWHERE),
    "hide=examples.delimiters+readers=choosing": (["delimiters"], [], "choosing", EVERYWHERE),
    "hide=examples,-examples[0]+window=4": (["examples"], ["example 0"], "all", 4),
    "TTF+readers=last": (["instructions", "examples"], [], "last", EVERYWHERE),
    "hide=examples.inputs+readers=query+window=1": (["inputs"], [], "query", 1),
    "FTF+steps=0..": (["examples"], [], "choosing", EVERYWHERE),
}


def target(item):
    return item["target"][0] if isinstance(item["target"], list) else item["target"]


class Prompt:
    """One item's prompt with its options, and the tokens of each span."""

    def __init__(self, manifest, row, bpe):
        strings = manifest["settings"]["format_strings"]
        text, marks = "", []

        def write(part, name=None):
            nonlocal text
            start = len(text.encode())
            text += part
            if name:
                marks.append((name, start, len(text.encode())))

        separator = strings["separator"]
        header = strings["header"] + separator if strings["header"] else ""
        write(header)
        ends = {"instructions": len(text.encode())}
        for number, shown in enumerate(manifest["demonstrations"]):
            start = len(text.encode())
            write(strings["question"])
            write(shown["source"].strip(), "inputs")
            write(strings["answer"])
            write(strings["before_target"] + target(shown).strip(), "outputs")
            write(strings["after_target"])
            marks.append((f"example {number}", start, len(text.encode())))
            write(separator)
        ends["examples"] = len(text.encode())
        write(strings["question"] + row["source"].strip() + strings["answer"])
        spaces = text[len(text.rstrip()) :]
        text = text[: len(text) - len(spaces)]
        self.tokens = bpe.encode(text)
        n = len(bpe.bos)
        data, firsts, at = text.encode(), [], 0
        for token in self.tokens[n:]:
            firsts.append(at)
            at += len(bpe.token_bytes(token))
        if at != len(data):
            raise Unjudgeable("the tokens do not spell the prompt")
        # The first byte that is not white space: many tokens begin with the space before a word.
        letters = []
        for first, end in zip(firsts, firsts[1:] + [len(data)]):
            token = data[first:end]
            letters.append(first + len(token) - len(token.lstrip()) if token.strip() else first)
        self.spans = {"instructions": set(), "examples": set(), "query": set()}
        for column, first in enumerate(firsts, n):
            inside = [name for name in ("instructions", "examples") if first < ends[name]]
            self.spans[inside[0] if inside else "query"].add(column)
        for name, start, end in marks:
            columns = {c for c, letter in enumerate(letters, n) if start <= letter < end and c in self.spans["examples"]}
            self.spans[name] = self.spans.get(name, set()) | columns
        self.spans["delimiters"] = self.spans["examples"] - self.spans["inputs"] - self.spans["outputs"]
        self.options = []
        for option in row["options"]:
            whole = bpe.encode(text + spaces + strings["before_target"] + option.strip())
            self.options.append(whole[len(self.tokens) :])

    def hides(self, rule, rows):
        """[rows, rows], where the last prompt row may be followed by rows of an option: which columns are hidden"""
        hide, but, readers, _ = rule
        columns = set().union(*(self.spans[name] for name in hide)) - set().union(*(self.spans[name] for name in but))
        last = len(self.tokens) - 1
        reads = {
            "all": range(rows),
            "last": [last],
            "choosing": range(last, rows),
            "query": [row for row in range(rows) if row in self.spans["query"]],
        }[readers]
        hidden = torch.zeros(rows, rows, dtype=torch.bool)
        for row in reads:
            hidden[row, sorted(columns)] = True
        return hidden


def weights(model, prompt, series, layer):
    """The log-probability of each option"""
    found, rule = [], None if series == "none" else RULES[series]
    sequences = {}
    for option in prompt.options:
        ids = tuple(prompt.tokens + option[:-1])
        if ids not in sequences:
            sequences[ids] = log_probabilities(model, prompt, list(ids), rule, layer)
        rows = sequences[ids][len(prompt.tokens) - 1 :]
        found.append(sum(float(rows[at, token]) for at, token in enumerate(option)))
    return found


def log_probabilities(model, prompt, ids, rule, layer):
    n = len(ids)
    later = torch.ones(n, n, dtype=torch.bool).triu(1)
    hidden = later | prompt.hides(rule, n) if rule else later
    if bool(hidden.all(dim=1).any()):
        raise Unjudgeable("a row has nothing to read")
    lowest = torch.finfo(torch.float32).min
    open_mask, shut_mask = (torch.zeros(n, n).masked_fill(mask, lowest)[None, None] for mask in (later, hidden))
    inner, positions = model.model.model, torch.arange(n)[None]
    states = inner.embed_tokens(torch.tensor([ids]))
    for at, block in enumerate(inner.layers):
        works = rule is not None and layer <= at < layer + rule[3]
        states = block(
            states,
            attention_mask=shut_mask if works else open_mask,
            position_ids=positions,
            position_embeddings=inner.rotary_emb(states, positions),
        )
    return torch.log_softmax(model.model.lm_head(inner.norm(states))[0].double(), dim=-1)


def cells(folder):
    for path in sorted(folder.glob("*/*.jsonl")):
        layer = path.stem.removeprefix("layer-")
        yield path, path.parent.name, 0 if path.parent.name == "none" else int(layer)


def judge(folder, model, bpe, most):
    manifest = json.loads((folder / "manifest.json").read_text())
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()][:most]
    prompts = [Prompt(manifest, item, bpe) for item in items]
    if prompts[0].tokens != manifest["prompt"]["tokens"]:
        raise Unjudgeable("the first prompt is not the manifest's")
    right, options, changed = True, 0, {}
    for path, series, layer in cells(folder):
        if series != "none" and series not in RULES:
            raise Unjudgeable(f"this script does not define {series}")
        largest, same = 0.0, 0
        lines = [json.loads(line) for line in path.read_text().splitlines()][:most]
        for prompt, line in zip(prompts, lines):
            theirs = weights(model, prompt, series, layer)
            ours = [option["logprob"] for option in line["options"]]
            largest = max([largest, *(abs(a - b) for a, b in zip(theirs, ours))])
            # Two that are as near as this are alike.
            chosen = max(range(len(theirs)), key=lambda at: theirs[at])
            same += chosen == line["chosen"] or abs(theirs[chosen] - theirs[line["chosen"]]) < 2 * TOLERANCE
            options += len(ours)
            changed.setdefault(series, set()).add(round(ours[0], 6))
        good = largest <= TOLERANCE and same == len(lines)
        right &= good
        where = "" if series == "none" else f" from layer {layer}"
        print(f"| {folder.parent.name} | `{series}`{where} | {len(lines)} | {largest:.1e} | {same}/{len(lines)} |", flush=True)
    if not RULES.keys() <= changed.keys():
        raise Unjudgeable("not every mask of this script is among the results")
    return right, options


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--model", required=True, help="the .gguf file")
    parser.add_argument("--items", type=int, default=20, help="items of each run (20)")
    args = parser.parse_args()
    try:
        source = Source.open(args.model)
        bpe, model = ByteLevelBpe(source), MaskedModel(source)
        all_right, options = True, 0
        print("| run | condition | items | largest difference | choices alike |\n|---|---|---|---|---|")
        with torch.inference_mode():
            for folder in (manifest.parent for results in args.results for manifest in sorted(results.rglob("manifest.json"))):
                right, count = judge(folder, model, bpe, args.items)
                all_right, options = all_right and right, options + count
        if not options:
            raise Unjudgeable("there are no results")
    except Unjudgeable as why:
        print(f"masks: no verdict: {why}", file=sys.stderr)
        return 2
    print(f"\n{Path(args.model).name}: {options} options, {'all' if all_right else 'not all'} within {TOLERANCE:g}.")
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
