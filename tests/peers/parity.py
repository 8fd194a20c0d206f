#!/usr/bin/env python3
"""Does icl-mask compute what Hugging Face transformers computes?

Reads what `examples/reference_dump.rs` wrote for one GGUF model (a JSON line per cell and a file of float32
logits) and derives everything again from the prompt text alone: token ids, segment ranges, hidden columns, the
masked forward pass (eager attention, float32, the same file dequantised) and the greedy tokens. Nothing of the
Rust half is used except as the thing to be judged.

    parity.py --model models/smollm2-135m.gguf --dump cells.jsonl --logits logits.f32 [--markdown table.md]

Exit code 0: every criterion holds; 1: at least one is missed; 2: the input cannot be judged.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass

import numpy as np
import tokenizers
import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import DynamicCache
from transformers.masking_utils import eager_mask

from prompts import ByteLevelBpe, Source, Unjudgeable, exact_hidden, exact_segments, expected_hidden, range_mistakes

LOGIT_TOLERANCE = 1e-3
# A token counts as a near-tie only if HF itself scores it within this of its own choice.
NEAR_TIE = 1e-3
IDENTICAL_SHARE = 0.98


def config_mistakes(source, config):
    """Where transformers' reading of the hyperparameters differs from the file: one wrong base or epsilon would
    make the whole comparison worthless, or hide the same mistake on the other side."""
    rope = config.rope_parameters
    pairs = {
        "layers": (config.num_hidden_layers, source.of_arch("block_count")),
        "width": (config.hidden_size, source.of_arch("embedding_length")),
        "heads": (config.num_attention_heads, source.of_arch("attention.head_count")),
        "kv heads": (config.num_key_value_heads, source.of_arch("attention.head_count_kv")),
        "rope base": (rope["rope_theta"], source.of_arch("rope.freq_base")),
        "rope type": (rope["rope_type"], source.meta.get(f"{source.arch}.rope.scaling.type", "default")),
        "rms epsilon": (config.rms_norm_eps, source.of_arch("attention.layer_norm_rms_epsilon")),
    }
    return [f"{name}: transformers {a}, file {b}" for name, (a, b) in pairs.items() if a != b]


# --- The masked model ----------------------------------------------------------------------------------------


@dataclass
class Mask:
    """What the attention of layers >= from_layer may not read."""

    from_layer: int
    hidden: set
    own_column_only: bool = False
    # For the noise check alone: keys and values of hidden columns are overwritten before use.
    noise: bool = False

    def visible(self, causal):
        """causal: [rows, columns], True where the architecture lets a row read; its rows are the last ones."""
        n_rows, n_columns = causal.shape
        if self.own_column_only:
            own = torch.arange(n_columns - n_rows, n_columns)[:, None]
            return causal & (torch.arange(n_columns)[None, :] == own)
        column_shown = torch.tensor([column not in self.hidden for column in range(n_columns)])
        return causal & column_shown[None, :]


class MaskedModel:
    """transformers' model with its attention function replaced through the public registry."""

    def __init__(self, source):
        folder, file = os.path.split(os.path.abspath(source.path))
        # Some versions can compute on the packed blocks instead, which is other arithmetic.
        unpacked = transformers.GgufConfig(dequantize=True)
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=torch.float32, attn_implementation="eager", quantization_config=unpacked
        ).eval()
        if {p.dtype for p in self.model.state_dict().values()} != {torch.float32}:
            raise Unjudgeable("the model was not loaded as float32 throughout")
        self.n_layers = self.model.config.num_hidden_layers
        self.mask = None
        # The family's own eager attention serves the unmasked layers, so that only masked ones are ours.
        self.family_attention = sys.modules[type(self.model).__module__].eager_attention_forward
        AttentionInterface.register("icl_mask_parity", self._attention)
        AttentionMaskInterface.register("icl_mask_parity", eager_mask)

    def patch(self, on=True):
        self.model.set_attn_implementation("icl_mask_parity" if on else "eager")
        self.mask = None

    def _attention(self, module, query, key, value, attention_mask, scaling, **kwargs):
        mask = self.mask
        if mask is None or module.layer_idx < mask.from_layer:
            return self.family_attention(module, query, key, value, attention_mask, scaling, **kwargs)
        visible = mask.visible(attention_mask[0, 0] == 0)
        if mask.noise:
            key, value = (with_noise(states, mask.hidden) for states in (key, value))
        key, value = (x.repeat_interleave(module.num_key_value_groups, dim=1) for x in (key, value))
        scores = (query @ key.transpose(2, 3)) * scaling
        weights = scores.masked_fill(~visible, float("-inf")).softmax(dim=-1)
        # A row with nothing to read is a softmax over nothing (NaN): its output is defined as zero.
        weights = weights.masked_fill(~visible.any(dim=-1)[:, None], 0.0)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    def whole(self, ids, mask=None):
        """Logits [rows, vocab] by one call of the model's public forward: slow, and nothing of ours but the mask."""
        self.mask = mask
        logits = self.model(torch.tensor([ids]), use_cache=False).logits[0]
        self.mask = None
        return logits

    def _layer(self, i, states, first_row, cache=None):
        n_rows = states.shape[1]
        rows = torch.arange(first_row, first_row + n_rows)
        later = torch.arange(first_row + n_rows)[None, :] > rows[:, None]
        causal = torch.zeros(later.shape).masked_fill(later, torch.finfo(torch.float32).min)[None, None]
        positions = rows[None]
        return self.model.model.layers[i](
            states,
            attention_mask=causal,
            position_ids=positions,
            position_embeddings=self.model.model.rotary_emb(states, positions),
            past_key_values=cache,
        )

    def trunk(self, ids):
        """The unmasked run over the prompt: the states that enter each layer (and leave the last), and the cache."""
        self.mask, cache = None, DynamicCache()
        states = [self.model.model.embed_tokens(torch.tensor([ids]))]
        for i in range(self.n_layers):
            states.append(self._layer(i, states[-1], 0, cache))
        return states, cache

    def after_prompt(self, trunk, generated, mask):
        """Logits [1 + len(generated) - 1, vocab] of the last prompt row and of each generated row but the last.

        Below from_layer nothing is masked, so the prompt's rows are the trunk's; from there on every row of the
        prompt is computed again under the mask, also those that nobody reads any more."""
        states, cache = trunk
        n_prompt, low = states[0].shape[1], min(mask.from_layer, self.n_layers)
        self.mask = mask
        fed = generated[:-1]
        tail = self.model.model.embed_tokens(torch.tensor([fed], dtype=torch.long))
        below = DynamicCache()
        for i in range(low if fed else 0):
            below.update(cache.layers[i].keys, cache.layers[i].values, i)
            tail = self._layer(i, tail, n_prompt, below)
        rows = torch.cat([states[low], tail], dim=1)
        for i in range(low, self.n_layers):
            rows = self._layer(i, rows, 0)
        self.mask = None
        return self.model.lm_head(self.model.model.norm(rows[0, n_prompt - 1 :]))


def with_noise(states, hidden):
    columns = [column for column in hidden if column < states.shape[2]]
    noisy = states.clone()
    noisy[:, :, columns] = 100 * torch.randn(noisy[:, :, columns].shape)
    return noisy


# --- Does the check itself work? -----------------------------------------------------------------------------


def check_the_check(model, ids, segments):
    """(what must hold, whether it does) for the patch above, on one prompt."""
    n, mid = len(ids), model.n_layers // 2
    model.patch(on=False)
    plain = model.whole(ids)
    answer = model.model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, n), max_new_tokens=8, do_sample=False, repetition_penalty=1.0
    )[0, n:].tolist()
    model.patch()
    context = exact_hidden(segments, "TTF")
    everything = set(range(n))
    full = ids + answer[:-1]

    seen = []
    handle = model.model.model.layers[mid].self_attn.o_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    blind = model.whole(ids, Mask(mid, everything))
    handle.remove()

    halfway = model.whole(full, Mask(mid, context))
    noisy = model.whole(full, Mask(mid, context, noise=True))
    alone = model.whole(full, Mask(mid, set(), own_column_only=True))
    trunk = model.trunk(ids)
    by_trunk = model.after_prompt(trunk, answer, Mask(mid, context))
    unmasked = model.after_prompt(trunk, answer, Mask(model.n_layers, context))
    return [
        ("from_layer = L equals the unpatched model bit for bit", same(model.whole(ids, Mask(model.n_layers, context)), plain)),
        ("our attention with nothing hidden equals eager attention bit for bit", same(model.whole(ids, Mask(0, set())), plain)),
        ("noise in hidden keys and values changes no bit of what the visible rows say",
            same(noisy[segments["query"][0] :], halfway[segments["query"][0] :])),
        ("hiding the context changes the logits", (halfway[n - 1] - plain[-1]).abs().max() > 1e-2),
        ("own column only changes the logits", (alone[n - 1] - halfway[n - 1]).abs().max() > 1e-2),
        ("rows with nothing to read get zero attention output", not seen[0].any()),
        ("and stay finite", bool(blind.isfinite().all())),
        ("the trunk's shortcut agrees with whole forward passes within 1e-4",
            float((by_trunk - halfway[n - 1 :]).abs().max()) < 1e-4),
        ("teacher forcing along the unmasked tokens gives back transformers' own greedy generation",
            unmasked.argmax(dim=-1).tolist() == answer),
    ]  # fmt: skip


def same(a, b):
    return bool(torch.equal(a, b))


# --- One cell, and the whole dump ----------------------------------------------------------------------------


@dataclass
class Outcome:
    cell: dict
    logit_gap: float
    first_difference: int | None
    margin: float | None

    def describe(self):
        c = self.cell
        return (
            f"{c['item']} {c['mask']} {c['profile']} layer {c['from_layer']}: token {self.first_difference} of "
            f"{len(c['generated'])}, HF prefers its own by {self.margin:.2e}"
        )


def judge(model, trunk, cell, hidden, theirs):
    generated = cell["generated"]
    mask = Mask(cell["from_layer"], hidden, own_column_only=cell["mask"] == "all")
    logits = model.after_prompt(trunk, generated, mask)
    gap = float((logits[0] - torch.from_numpy(np.array(theirs))).abs().max())
    for i, (token, row) in enumerate(zip(generated, logits)):
        best = int(row.argmax())
        if token != best:
            return Outcome(cell, gap, i, float(row[best] - row[token]))
    return Outcome(cell, gap, None, None)


class Report:
    def __init__(self):
        self.prompts = 0
        # By prompt and by cell, so that two mistakes in one place count once.
        self.id_mistakes, self.range_mistakes, self.converted_mistakes = {}, {}, []
        self.outcomes, self.checks, self.config = [], [], []

    def differences(self):
        return [o for o in self.outcomes if o.first_difference is not None]

    def max_gap(self):
        # A NaN must not be lost in a maximum.
        return max((o.logit_gap if o.logit_gap == o.logit_gap else float("inf") for o in self.outcomes), default=0.0)

    def criteria(self):
        different = self.differences()
        share = 1 - len(different) / max(1, len(self.outcomes))
        return [
            ("hyperparameters read as the file has them", not self.config),
            ("the check's own sanity checks", all(held for _, held in self.checks)),
            ("prompt ids identical", self.prompts > 0 and not self.id_mistakes),
            ("segment and hidden ranges identical", not self.range_mistakes),
            (f"largest logit difference <= {LOGIT_TOLERANCE:g}", self.max_gap() <= LOGIT_TOLERANCE),
            (f"at least {IDENTICAL_SHARE:.0%} of generations identical", share >= IDENTICAL_SHARE),
            (f"every difference a near-tie (margin < {NEAR_TIE:g})", all(o.margin < NEAR_TIE for o in different)),
        ]


def run(args):
    source = Source.open(args.model)
    cells = [json.loads(line) for line in open(args.dump, encoding="utf-8") if line.strip()]
    if not cells:
        raise Unjudgeable(f"{args.dump} holds no cells")
    bpe, model, report = ByteLevelBpe(source), MaskedModel(source), Report()
    report.config = config_mistakes(source, model.model.config)
    folder, file = os.path.split(os.path.abspath(source.path))
    converted = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    logits = np.memmap(args.logits, dtype="<f4", mode="r").reshape(-1, model.model.config.vocab_size)
    prompts = {}
    for cell in cells:
        prompts.setdefault((cell["item"], cell["prompt"]), []).append(cell)
    started = time.time()
    for (item, text), group in list(prompts.items())[: args.limit]:
        judge_prompt(item, text, group, logits, source, bpe, converted, model, report)
        done, seconds = len(report.outcomes), time.time() - started
        print(f"  {item}: {done}/{len(cells)} cells, {seconds:.0f} s", file=sys.stderr, flush=True)
    return source, model, report


def judge_prompt(item, text, group, logits, source, bpe, converted, model, report):
    ids = bpe.encode(text)
    report.prompts += 1
    for label, other in (("plain BPE", bpe.encode_plainly(text)), ("the dump", group[0]["tokens"])):
        if other != ids:
            report.id_mistakes.setdefault(item, []).append(f"{label} differs from the tokenizers library")
    if any(cell["tokens"] != group[0]["tokens"] for cell in group):
        report.id_mistakes.setdefault(item, []).append("the dump has more than one tokenization")
    if bpe.bos + converted(text, add_special_tokens=False)["input_ids"] != ids:
        report.converted_mistakes.append(item)
    if not report.checks:
        report.checks = check_the_check(model, ids, exact_segments(bpe, ids, group[0]["segment_texts"]))
    trunk = model.trunk(ids)
    for cell in group:
        segments = exact_segments(bpe, ids, cell["segment_texts"])
        hidden = expected_hidden(cell, bpe, source, segments)
        where = f"{item} {cell['mask']} {cell['profile']} layer {cell['from_layer']}"
        mistakes = range_mistakes(cell, segments, hidden)
        if cell["n_layers"] != model.n_layers:
            mistakes.append(f"n_layers {cell['n_layers']}, expected {model.n_layers}")
        if mistakes:
            report.range_mistakes[where] = mistakes
        report.outcomes.append(judge(model, trunk, cell, hidden, logits[cell["logits_index"]]))


# --- Words ---------------------------------------------------------------------------------------------------


def summary(args, source, model, report):
    """(what, value) pairs, for people and for the Markdown table alike."""
    cells, different = report.outcomes, report.differences()
    lengths = [len(o.cell["tokens"]) for o in cells]
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, tokenizers {tokenizers.__version__}"
    versions += f", numpy {np.__version__}, Python {platform.python_version()}"
    family = f"{type(model.model).__name__}, {model.n_layers} layers, {source.quantisation}"
    return [
        ("model", f"{os.path.basename(source.path)} ({family})"),
        ("file", f"sha256 {source.sha256[:16]}"),
        ("peer", versions),
        ("prompts", f"{report.prompts}, {min(lengths)} to {max(lengths)} tokens"),
        ("prompt ids identical", f"{report.prompts - len(report.id_mistakes)}/{report.prompts}"),
        (
            "transformers' own conversion of the tokenizer agrees",
            f"{report.prompts - len(report.converted_mistakes)}/{report.prompts}",
        ),
        ("ranges identical", f"{len(cells) - len(report.range_mistakes)}/{len(cells)}"),
        ("largest logit difference", f"{report.max_gap():.2e}"),
        ("generations identical", f"{len(cells) - len(different)}/{len(cells)}"),
        ("generated tokens compared", f"{sum(len(o.cell['generated']) for o in cells)}"),
        ("generations cut short without an end-of-text token", f"{cut_short(cells, model.model.config.eos_token_id)}"),
    ]


def cut_short(outcomes, eos):
    """Where a generation stops is not compared, only its tokens; so say how many stopped for another reason."""
    longest = max(len(o.cell["generated"]) for o in outcomes)
    return sum(len(o.cell["generated"]) < longest and o.cell["generated"][-1:] != [eos] for o in outcomes)


def by_mask(report):
    """{(profile, mask): {from_layer: (largest gap, identical, cells)}} in the order of the dump."""
    table = {}
    for o in report.outcomes:
        row = table.setdefault((o.cell["profile"], o.cell["mask"]), {})
        gap, identical, n = row.get(o.cell["from_layer"], (0.0, 0, 0))
        row[o.cell["from_layer"]] = (max(gap, o.logit_gap), identical + (o.first_difference is None), n + 1)
    return table


def print_report(pairs, report):
    for what, value in pairs:
        print(f"{what:55} {value}")
    print("\nlargest logit difference and identical generations, by mask and from-layer")
    for (profile, mask), row in by_mask(report).items():
        for layer, (gap, identical, n) in sorted(row.items()):
            print(f"  {profile:8} {mask:5} {layer:3}   {gap:.2e}   {identical}/{n}")
    for title, lines in (
        ("hyperparameters misread", report.config),
        ("prompt ids", [f"{where}: {'; '.join(all_of_it)}" for where, all_of_it in report.id_mistakes.items()]),
        ("ranges", [f"{where}: {'; '.join(all_of_it)}" for where, all_of_it in report.range_mistakes.items()]),
        ("tokenized otherwise by transformers' conversion", report.converted_mistakes),
        ("generations that differ", [o.describe() for o in report.differences()]),
    ):
        for line in lines[:50]:
            print(f"{title}: {line}")
    for what, held in report.checks:
        print(f"{'ok' if held else 'FAILED':7} sanity: {what}")
    for what, held in report.criteria():
        print(f"{'ok' if held else 'MISSED':7} {what}")


def markdown(pairs, report, name):
    lines = [f"### {name}", "", "| | |", "|---|---|"] + [f"| {what} | {value} |" for what, value in pairs]
    table = by_mask(report)
    layers = sorted({layer for row in table.values() for layer in row})
    lines += ["", "Largest logit difference (identical generations) by mask and `--from-layer`:", ""]
    lines += ["| profile | mask | " + " | ".join(map(str, layers)) + " |", "|---|---|" + "---|" * len(layers)]
    for (profile, mask), row in table.items():
        entries = [f"{row[i][0]:.1e} ({row[i][1]}/{row[i][2]})" if i in row else "" for i in layers]
        lines.append(f"| {profile} | {mask} | " + " | ".join(entries) + " |")
    different = report.differences()
    lines += ["", "Generations that differ: " + ("none." if not different else "")]
    lines += [f"- {o.describe()}" for o in different]
    lines += ["", "| criterion | |", "|---|---|"]
    lines += [f"| {what} | {'yes' if held else '**no**'} |" for what, held in report.criteria()]
    return "\n".join(lines) + "\n\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="the .gguf file")
    parser.add_argument("--dump", required=True, help="JSON lines of the Rust half")
    parser.add_argument("--logits", required=True, help="its logits, raw little-endian float32")
    parser.add_argument("--markdown", help="also append the tables to this file")
    parser.add_argument("--limit", type=int, help="judge only the first N prompts")
    parser.add_argument("--threads", type=int, help="default: all cores")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    try:
        with torch.inference_mode():
            source, model, report = run(args)
    except Unjudgeable as mistake:
        print(f"parity: cannot judge: {mistake}", file=sys.stderr)
        return 2
    except Exception:
        # Python's own exit code for a crash is 1, which here would read as a verdict against the Rust half.
        traceback.print_exc()
        return 2
    pairs = summary(args, source, model, report)
    print_report(pairs, report)
    if args.markdown:
        with open(args.markdown, "a", encoding="utf-8") as file:
            file.write(markdown(pairs, report, os.path.basename(args.model).removesuffix(".gguf")))
    return 0 if all(held for _, held in report.criteria()) else 1


if __name__ == "__main__":
    sys.exit(main())
