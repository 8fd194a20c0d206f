#!/usr/bin/env python3
"""What transformers computes, masked and unmasked, with a model of each family, for tests/model_goldens.rs.

    pip install torch transformers safetensors tokenizers gguf regex
    python tests/goldens/make_families.py [FAMILY ...]

Each model (family_models.py) has the layer pattern, rotary scaling and sharing of tensors of a real one, but small widths,
a vocabulary of a few tokens, and weights that are drawn by a rule (drawn.py) instead of stored. Prompts are longer than
most windows, and segments lie across their edges, so that some rows lose all that they read.

Writes into tests/goldens/families/NAME/ `config.json` as transformers writes it, `expected.json` (how the weights and
the prompt are drawn, segments, and per cell profile, mask, start layer, hidden columns and ten greedy tokens) and
`expected.safetensors`, per cell:

    states   the last prompt row after each layer, at the dimensions `dims`
    norms    the length of that whole row
    rows     the prompt's rows `rows` after the last layer, at `dims`
    logits   of the last prompt row
    step_5, step_10   the logits after that many generated tokens, at the ids `logit_ids`

Profile `exact` hides segments. Profile `sia2024` hides one range made of lengths of separate tokenizations, which
here miss the segments' borders by a token or two.

masked.py lays the masks over transformers' model; its checks must hold for each model, else this script stops. Norm
weights and biases are far from 1 and 0, the norms' epsilon is large, attention is neither uniform nor one column, and no
greedy choice is close: with other values many mistakes would change nothing. Seeds are tried until all this holds.
"""

import json
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers")]
import drawn  # noqa: E402
from family_models import models  # noqa: E402
from masked import Masked, check_the_check  # noqa: E402
from parity import Mask  # noqa: E402

FAMILIES = HERE / "families"
STEPS, STORED_STEPS = 10, (5, 10)
N_DIMS, N_LOGIT_IDS = 8, 12
# Share of the largest logit by which each greedy token must lead: five times the tolerance of the test.
LEAD = 5e-4
# The same for experts, as a share of the largest logit of a router: another program is off by less than a tenth of it.
EXPERTS_LEAD = 2e-5


# --- Cells ---------------------------------------------------------------------------------------------------


def study_lengths(segments, off, start):
    """Lengths of separate tokenizations, BOS included in each; `start` is 1 for Llama models."""
    (bos, a), (_, b), (_, n) = (segments[part] for part in ("instructions", "examples", "query"))
    return {"start": start, "header": a + off[0], "prefix": b + off[1], "query": n - b + bos + off[2]}


def hidden_ranges(profile, mask, segments, study):
    if mask in ("none", "all"):
        return []
    if profile == "exact":
        names = ("instructions", "examples", "query")
        return [segments[name] for name, letter in zip(names, mask) if letter == "T"]
    # As the study's code has it: each hidden part moves the end, the first one sets the beginning.
    after_header, after_prefix = study["start"] + study["header"], study["start"] + study["prefix"]
    begin = (study["start"], after_header, after_prefix)[mask.index("T")]
    end = (after_header, after_prefix + 1, after_prefix + study["query"])[mask.rindex("T")]
    return [[begin, end]]


def as_mask(from_layer, mask, ranges):
    return Mask(from_layer, {c for a, b in ranges for c in range(a, b)}, own_column_only=mask == "all")


class Unsuited(Exception):
    """A choice of a token or an expert that another program might make otherwise, or a mask that changes next to nothing."""


class Expected:
    """One model, its prompt, and the cells computed so far."""

    def __init__(self, config, rules, segments, off, seed):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
        self.masked = Masked(drawn.fill(model, seed, rules))
        self.config, self.segments, self.seed, self.rules = config, segments, seed, rules
        n, width = segments["query"][1], config.hidden_size
        self.ids = drawn.token_ids(seed, n, config.vocab_size)
        self.study = study_lengths(segments, off, 1 if config.model_type == "llama" else 0)
        self.dims = [i * width // N_DIMS for i in range(N_DIMS)]
        self.logit_ids = [i * config.vocab_size // N_LOGIT_IDS for i in range(N_LOGIT_IDS)]
        # The second row, which often has nothing to read, and the last one of the examples, which may have lost all
        # that its window holds.
        self.rows = [1, segments["examples"][1] - 1]
        self.cells, self.arrays = [], {name: [] for name in ("states", "norms", "rows", "logits", "step_5", "step_10")}

    def compute(self, profile, mask, from_layer):
        ranges = hidden_ranges(profile, mask, self.segments, self.study)
        applied, n = as_mask(from_layer, mask, ranges), len(self.ids)
        states, logits = self.masked.states_and_logits(self.ids, applied)
        row, tokens, steps = logits[n - 1], [], {}
        for step in range(1, STEPS + 1):
            best = row.topk(2).values
            if best[0] - best[1] < LEAD * row.abs().max():
                raise Unsuited
            tokens.append(int(row.argmax()))
            # The whole sequence again: no cache of ours or of transformers' can be wrong here.
            row = self.masked.whole(self.ids + tokens, applied)[-1]
            if step in STORED_STEPS:
                steps[f"step_{step}"] = row[self.logit_ids]
        if self.masked.experts.lead < EXPERTS_LEAD:
            raise Unsuited
        last = states[:, n - 1]
        arrays = {"states": last[:, self.dims], "norms": last.norm(dim=-1), "logits": logits[n - 1],
                  "rows": states[-1][self.rows][:, self.dims]} | steps  # fmt: skip
        for name, array in arrays.items():
            self.arrays[name].append(array)
        cell = {"profile": profile, "mask": mask, "from_layer": from_layer, "hidden": ranges, "tokens": tokens}
        if self.cells:
            change = (logits[n - 1] - self.arrays["logits"][0]).abs().max() / logits[n - 1].abs().max()
            # A mask may hide from the last row nothing but what its windows hide from it anyway.
            if 0 < change < 1e-2:
                raise Unsuited
            cell["changes"] = bool(change > 0)
        self.cells.append(cell)

    def check_file(self):
        """The file that transformers saves holds what is drawn by the names in it."""
        with tempfile.TemporaryDirectory() as folder:
            self.masked.model.save_pretrained(folder)
            tensors = load_file(Path(folder) / "model.safetensors")
        assert sum(t.numel() for t in tensors.values()) == sum(p.numel() for p in self.masked.model.parameters())
        for name, tensor in tensors.items():
            drawn_as = "lm_head.weight" if name == "embed_out.weight" else name
            ours = drawn.weight(drawn_as, tuple(tensor.shape), self.seed, self.rules)
            assert torch.equal(tensor, torch.from_numpy(ours)), name

    def check(self):
        self.check_file()
        for what, held in check_the_check(self.masked, self.ids, self.segments):
            assert held, what
        worst = 0.0
        for cell in self.cells:
            if cell["mask"] in ("none", "all"):
                continue
            mask = as_mask(cell["from_layer"], cell["mask"], cell["hidden"])
            # Rows whose own column is visible always read something.
            read = [row for row in range(len(self.ids)) if row not in mask.hidden]
            if read:
                ours, theirs = self.masked.whole(self.ids, mask)[read], self.masked.by_additive_mask(self.ids, mask)[read]
                worst = max(worst, float((ours - theirs).abs().max() / ours.abs().max()))
        assert worst < 1e-5, worst
        # Bits of the last row's attention, by layer: neither uniform nor one column.
        last = [weights[:, -1] for weights in self.masked.attention_weights(self.ids)]
        bits = [float(-(w * w.clamp_min(1e-30).log2()).sum(-1).mean()) for w in last]
        most = [math.log2(int((w[0] > 0).sum())) for w in last]
        assert all(0.5 < b < m - 0.3 for b, m in zip(bits, most)), (bits, most)
        distinct = len({tuple(cell["tokens"]) for cell in self.cells})
        assert distinct > len(self.cells) / 3, distinct
        emptied = [self.rows_without_anything(cell) for cell in self.cells]
        print(f"  bits of attention {[round(b, 1) for b in bits]} of {[round(m, 1) for m in most]};",
              f"{distinct} distinct generations; cells where a row of `rows` reads nothing in some layer: {sum(emptied)};",
              f"cells that change nothing: {sum(not c.get('changes', True) for c in self.cells)}")  # fmt: skip

    def rows_without_anything(self, cell):
        """Does one of the rows looked at lose everything in some layer?"""
        hidden = {c for a, b in cell["hidden"] for c in range(a, b)}
        for layer, weights in enumerate(self.plain_weights()):
            if layer >= cell["from_layer"]:
                for row in self.rows:
                    if hidden.issuperset(torch.nonzero(weights[0, row]).flatten().tolist()):
                        return True
        return False

    def plain_weights(self):
        if not hasattr(self, "_plain_weights"):
            self._plain_weights = self.masked.attention_weights(self.ids)
        return self._plain_weights

    def write(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.config.save_pretrained(folder)
        arrays = {name: torch.stack(stacked).contiguous() for name, stacked in self.arrays.items()}
        save_file(arrays, folder / "expected.safetensors")
        head = {"made_by": "tests/goldens/make_families.py"}
        head["versions"] = {module.__name__: module.__version__ for module in (torch, transformers)}
        head["draw"] = {"seed": self.seed, "rules": self.rules}
        head |= {"prompt_length": len(self.ids), "segments": self.segments, "study": self.study}
        head |= {"dims": self.dims, "logit_ids": self.logit_ids, "rows": self.rows}
        lines = ",\n".join(json.dumps(cell, separators=(",", ":")) for cell in self.cells)
        text = json.dumps(head, separators=(",", ":"))[:-1] + ',"cells":[\n' + lines + "\n]}\n"
        (folder / "expected.json").write_text(text)


def make(name, config, rules, segments, off, cells):
    for seed in range(200):
        expected = Expected(config, rules, segments, off, str(seed))
        started = time.time()
        try:
            for cell in cells(expected.masked.n_layers):
                expected.compute(*cell)
            break
        except Unsuited:
            continue
    else:
        sys.exit(f"{name}: no seed will do")
    print(f"{name}: seed {seed}, {len(expected.cells)} cells in {time.time() - started:.0f} s", flush=True)
    expected.check()
    expected.write(FAMILIES / name)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    wanted = sys.argv[1:]
    with torch.inference_mode():
        for name, (config, rules), segments, off, cells in models():
            if not wanted or name in wanted:
                make(name, config, rules, segments, off, cells)
    sizes = {path.parent.name: 0 for path in FAMILIES.rglob("*.*")}
    for path in FAMILIES.rglob("*.*"):
        sizes[path.parent.name] += path.stat().st_size
    for name, size in sorted(sizes.items()):
        print(f"{size / 1024:6.1f} KiB {name}")


if __name__ == "__main__":
    main()
