#!/usr/bin/env python3
"""What transformers computes with the attention of one layer taken out, and what its attention reads, with the models
of make_families.py, for the tests in Rust.

    pip install torch transformers safetensors
    python tests/goldens/make_inside.py [FAMILY ...]

Takes model, weights, prompt and segments from tests/goldens/families/NAME/ as make_families.py left them, and writes
there `inside.json` and `inside.safetensors`. Run it after make_families.py, which empties those folders.

`ablated`: for each layer, its attention adds nothing to any row, of the prompt or generated; not even the bias of the
output projection is left. Stored are ten greedy tokens, fewer where the next choice is close (at the first step: none),
and

    ablated_logits   [layers, vocabulary], of the last prompt row

`attention`: the weights with which the prompt's rows `rows` read the columns `columns` (all, but where the prompt is
long, see SHORTENED) in the first, middle and last layer: without a mask, under TTF of profile `exact` from layer 1 on,
and under `all` from layer 0 on; per entry i of the list

    attention_<i>    [heads, rows, columns]

A row that has nothing to read has only zeros there; any other sums to 1 over all columns, or to less where a sink takes
its share. Below from_layer the weights are those without a mask.

Both come from transformers' own eager code, but for masked layers, where masked.py replaces attention. Its checks and
those of this script must hold for each model, else this script stops.
"""

import json
import math
import sys
import time

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

# First: it also lets tests/peers be imported.
from make_families import FAMILIES, LEAD, STEPS, as_mask, hidden_ranges  # isort: skip
import drawn
from masked import PLACES, Masked, as_trained, check_the_check

# All files together.
MOST_BYTES = 1_250_000
# Below this share of the largest number two roads agree; above that one an ablation changes the logits; and below this
# one two machines agree, which is the tolerance of the tests.
AGREE, CHANGE, ELSEWHERE = 1e-5, 1e-2, 1e-4
# Thousands of columns are too many to store: (masks and their first layer, layers, the last so many columns).
SHORTENED = {"starcoder2": ([("none", None), ("TTF", 0)], [0], 64)}


def build(folder, draw):
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    return as_trained(drawn.fill(model, draw["seed"], draw["rules"])).eval()


def same(a, b):
    return bool(torch.equal(a, b))


def apart(a, b):
    """The largest difference, as a share of the largest number."""
    return float((a - b).abs().max() / a.abs().max())


class Inside(Masked):
    """A model whose attention can also be taken out or looked at."""

    def without(self, ids, layers):
        """Logits [rows, vocab] of the unpatched model where the attention of `layers` adds nothing."""

        def hook(layer):
            def adds_nothing(_, args, out):
                if layer not in layers:
                    return None
                # BLOOM adds the residual, its second argument, within attention.
                kept = args[1] if self.model.config.model_type == "bloom" else torch.zeros_like(out[0])
                return kept, *out[1:]

            return adds_nothing

        self.patch(on=False)
        hooks = [module.register_forward_hook(hook(i)) for i, module in enumerate(self.attentions)]
        logits = self.whole(ids)
        for handle in hooks:
            handle.remove()
        self.patch()
        return logits

    def looked_at(self, road, ids, mask):
        """Logits [rows, vocab] by `road`, and by layer the weights [heads, rows, columns] of its attention."""
        weights = []
        hooks = [m.register_forward_hook(lambda _, __, out: weights.append(out[1][0])) for m in self.attentions]
        logits = road(ids, mask)
        for handle in hooks:
            handle.remove()
        return logits, weights


class Expected:
    """One model, its prompt, and what was computed so far."""

    def __init__(self, name):
        self.name, self.folder = name, FAMILIES / name
        self.before = json.loads((self.folder / "expected.json").read_text())
        self.draw, self.segments = self.before["draw"], self.before["segments"]
        self.masked = Inside(build(self.folder, self.draw))
        self.n_layers, n = self.masked.n_layers, self.before["prompt_length"]
        self.ids = drawn.token_ids(self.draw["seed"], n, self.masked.model.config.vocab_size)
        self.rows = [*self.before["rows"], n - 1]
        masks, layers, last = SHORTENED.get(name, ([("none", None), ("TTF", 1), ("all", 0)], None, n))
        # As in expected.json, a mask that starts after the last layer is none.
        self.masks = [(mask, self.n_layers if start is None else start) for mask, start in masks]
        self.layers = sorted({0, self.n_layers // 2, self.n_layers - 1}) if layers is None else layers
        self.columns = [n - last, n]
        self.ablated, self.entries, self.arrays, self.as_before = [], [], {}, []
        self.sinks = hasattr(self.masked.attentions[0], "sinks")

    def holds(self, what, held):
        assert held, f"{self.name}: {what}"

    # --- Ablation ------------------------------------------------------------------------------------------------

    def ablate(self):
        n, masked, ids = len(self.ids), self.masked, self.ids
        masked.patch(on=False)
        self.plain = masked.whole(ids)
        masked.patch()
        self.holds("taking out no layer changes no bit", same(masked.without(ids, ()), self.plain))
        last_logits, self.changes, self.gap = [], [], 0.0
        for layer in range(self.n_layers):
            logits = masked.without(ids, {layer})
            self.changes.append(apart(self.plain[-1], logits[-1]))
            self.gap = max(self.gap, apart(logits, self.by_zero_weights(layer)))
            last_logits.append(logits[-1])
            self.ablated.append({"layer": layer, "tokens": self.greedy(logits[-1], {layer})})
        self.arrays["ablated_logits"] = torch.stack(last_logits)
        self.holds(f"each layer taken out changes the logits: {self.changes}", min(self.changes) > CHANGE)
        self.holds(f"zeros as output projection give the same logits: {self.gap}", self.gap < AGREE)
        distinct = {tuple(logits.tolist()) for logits in last_logits}
        self.holds("no two layers taken out give the same logits", len(distinct) == self.n_layers)
        others = [(token + 1) % masked.model.config.vocab_size for token in ids[:-1]] + ids[-1:]
        blind, elsewhere = (masked.without(x, set(range(self.n_layers)))[n - 1] for x in (ids, others))
        self.holds("without all attention a row says the same whatever stands before it", same(blind, elsewhere))
        self.holds("which is another thing than with attention", apart(self.plain[-1], blind) > CHANGE)

    def greedy(self, row, layers):
        tokens = []
        while len(tokens) < STEPS:
            best = row.topk(2).values
            if best[0] - best[1] < LEAD * row.abs().max():
                break
            tokens.append(int(row.argmax()))
            if len(tokens) < STEPS:
                # The whole sequence again, without a cache.
                row = self.masked.without(self.ids + tokens, layers)[-1]
        return tokens

    def by_zero_weights(self, layer):
        """The same by another road: no hook, but a second model whose output projection is zero in that layer."""
        model = build(self.folder, self.draw)
        layers, attention, projection = PLACES[model.config.model_type]
        for parameter in model.get_submodule(f"{layers}.{layer}.{attention}.{projection}").parameters():
            parameter.data.zero_()
        return model(torch.tensor([self.ids]), use_cache=False).logits[0]

    # --- Attention -----------------------------------------------------------------------------------------------

    def attend(self):
        masked, ids = self.masked, self.ids
        masked.patch(on=False)
        public = masked.model(torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
        masked.patch()
        self.unmasked = masked.attention_weights(ids)
        self.holds("the weights are those that transformers gives out",
                   all(same(ours, theirs[0]) for ours, theirs in zip(self.unmasked, public, strict=True)))  # fmt: skip
        self.emptied = 0
        for mask, from_layer in self.masks:
            ranges = hidden_ranges("exact", mask, self.segments, None)
            if mask == "none":
                logits, weights = self.plain, self.unmasked
            else:
                logits, weights = masked.looked_at(masked.whole, ids, as_mask(from_layer, mask, ranges))
            self.check_weights(mask, from_layer, ranges, weights)
            self.check_logits(mask, from_layer, logits)
            for layer in self.layers:
                stored = weights[layer][:, self.rows, self.columns[0] : self.columns[1]]
                self.arrays[f"attention_{len(self.entries)}"] = stored
                self.entries.append({"mask": mask, "from_layer": from_layer, "hidden": ranges, "layer": layer,
                                     "columns": self.columns})  # fmt: skip

    def check_weights(self, mask, from_layer, ranges, weights):
        n, place = len(self.ids), f"{mask} from layer {from_layer}"
        hidden = torch.tensor([any(a <= column < b for a, b in ranges) for column in range(n)])
        for layer, (plain, now) in enumerate(zip(self.unmasked, weights, strict=True)):
            here = f"{place}, layer {layer}"
            self.holds(f"{here}: only columns up to the own one are read", not now.triu(1).any())
            self.holds(f"{here}: only columns are read that are read without a mask", not now[plain == 0].any())
            if layer < from_layer:
                self.holds(f"{here}: below from_layer nothing changes", same(now, plain))
            elif mask == "all":
                alone = now if self.sinks else torch.eye(n).expand_as(now)
                self.holds(f"{here}: each row reads itself alone", same(now, now * torch.eye(n)) and same(now, alone))
                continue
            else:
                self.holds(f"{here}: nothing hidden is read", not now[:, :, hidden].any())
            empty = ((plain == 0) | hidden).all(-1) if layer >= from_layer else torch.zeros(now.shape[:2], dtype=bool)
            sums = now.sum(-1)
            self.holds(f"{here}: rows with nothing to read have zeros", not sums[empty].any())
            full = (sums < 1) & (sums > CHANGE) if self.sinks else (sums - 1).abs() < AGREE
            self.holds(f"{here}: all others sum to 1", bool(full[~empty].all()))
            if layer in self.layers and layer >= from_layer:
                self.emptied += int(empty[:, self.rows].all(0).sum())
        if mask == "TTF":
            self.check_by_additive_mask(place, from_layer, ranges, hidden, weights)

    def check_by_additive_mask(self, place, from_layer, ranges, hidden, weights):
        """The same weights by another road, where that says what they are: in the first masked layer for each row that
        reads something, above it for those that always read themselves."""
        applied = as_mask(from_layer, "TTF", ranges)
        _, additive = self.masked.looked_at(self.masked.by_additive_mask, self.ids, applied)
        for layer in range(from_layer, self.n_layers):
            ours, theirs = weights[layer], additive[layer]
            rows = ours.sum(-1).all(0) if layer == from_layer else ~hidden
            gap = float((ours - theirs)[:, rows].abs().max())
            self.holds(f"{place}, layer {layer}: an additive mask gives the same weights: {gap}", gap < AGREE)
        if from_layer + 1 < self.n_layers:
            # States have changed by then, so weights are more than the old ones without the hidden columns.
            ours, plain = weights[-1][:, -1], self.unmasked[-1][:, -1] * ~hidden
            scaled = lambda w: w / w.sum(-1, keepdim=True)
            moved = float((scaled(ours) - scaled(plain)).abs().max())
            self.holds(f"{place}: the last layer reads its columns otherwise: {moved}", moved > CHANGE)

    def check_logits(self, mask, from_layer, logits):
        """These are the models and masks of expected.safetensors."""
        for i, cell in enumerate(self.before["cells"]):
            if (cell["profile"], cell["mask"], cell["from_layer"]) == ("exact", mask, from_layer):
                gap = apart(load_file(self.folder / "expected.safetensors")["logits"][i], logits[-1])
                self.holds(f"{mask} from layer {from_layer}: logits as make_families.py has: {gap}", gap < ELSEWHERE)
                self.as_before.append(f"{mask} {gap:.0e}")

    # --- All of it -----------------------------------------------------------------------------------------------

    def check(self):
        for what, held in check_the_check(self.masked, self.ids, self.segments):
            self.holds(what, held)
        for array in self.arrays.values():
            self.holds("all numbers are finite", bool(array.isfinite().all()))
        # Bits of the last row's attention, by layer: neither uniform nor one column.
        last = [self.unmasked[layer][:, -1] for layer in self.layers]
        bits = [float(-(w * w.clamp_min(1e-30).log2()).sum(-1).mean()) for w in last]
        most = [math.log2(int((w[0] > 0).sum())) for w in last]
        self.holds(f"{bits} bits of {most}", all(0.5 < b < m - 0.3 for b, m in zip(bits, most)))
        heads = [float((w - w.mean(0)).abs().max()) for w in last]
        self.holds(f"heads differ: {heads}", min(heads) > CHANGE)

    def report(self):
        lengths = [len(entry["tokens"]) for entry in self.ablated]
        distinct = len({tuple(entry["tokens"]) for entry in self.ablated})
        print(f"  taken out: logits change by {min(self.changes):.2f} to {max(self.changes):.2f};",
              f"other road {self.gap:.0e}; tokens {lengths}, {distinct} distinct")  # fmt: skip
        print(f"  attention: {len(self.entries)} entries of {list(self.arrays['attention_0'].shape)};",
              f"rows with nothing to read: {self.emptied}; logits as before: {', '.join(self.as_before)}")  # fmt: skip

    def write(self):
        arrays = {name: array.contiguous() for name, array in self.arrays.items()}
        save_file(arrays, self.folder / "inside.safetensors")
        head = {"made_by": "tests/goldens/make_inside.py"}
        head["versions"] = {module.__name__: module.__version__ for module in (torch, transformers)}
        head["rows"] = self.rows
        text = json.dumps(head, separators=(",", ":"))[:-1]
        for name, entries in (("ablated", self.ablated), ("attention", self.entries)):
            lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
            text += f',"{name}":[\n{lines}\n]'
        (self.folder / "inside.json").write_text(text + "}\n")


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    wanted = sys.argv[1:]
    with torch.inference_mode():
        for folder in sorted(path.parent for path in FAMILIES.glob("*/expected.json")):
            if not wanted or folder.name in wanted:
                started = time.time()
                expected = Expected(folder.name)
                expected.ablate()
                expected.attend()
                expected.check()
                expected.write()
                print(f"{folder.name}: {time.time() - started:.0f} s", flush=True)
                expected.report()
    total = 0
    for folder in sorted(path.parent for path in FAMILIES.glob("*/inside.json")):
        size = sum(path.stat().st_size for path in folder.glob("inside.*"))
        total += size
        print(f"{size / 1024:6.1f} KiB {folder.name}")
    assert total < MOST_BYTES, total


if __name__ == "__main__":
    main()
