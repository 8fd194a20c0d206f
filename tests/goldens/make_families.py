#!/usr/bin/env python3
"""What transformers computes, masked and unmasked, with a model of each family, for tests/model_goldens.rs.

    pip install torch transformers safetensors tokenizers gguf regex
    python tests/goldens/make_families.py [FAMILY ...]

Each model has the head size, layer pattern, window, rotary scaling and sharing of tensors of a real one, but small
widths, a vocabulary of a few tokens, and weights that are drawn by a rule (drawn.py) instead of stored. Prompts are
longer than the windows, and segments lie across their edges, so that some rows lose all that they read.

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
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
    Starcoder2Config,
)

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers")]
import drawn  # noqa: E402
from masked import Masked, check_the_check  # noqa: E402
from parity import Mask  # noqa: E402

FAMILIES = HERE / "families"
STEPS, STORED_STEPS = 10, (5, 10)
MASKS = ["TTF", "FTF", "FFT", "TFF", "TTT"]
N_DIMS, N_LOGIT_IDS = 8, 12
# Share of the largest logit by which each greedy token must lead: five times the tolerance of the test.
LEAD = 5e-4


# --- Models --------------------------------------------------------------------------------------------------


def common(vocab=64, **more):
    # Without an end token nothing stops a generation early.
    return {"vocab_size": vocab, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None} | more


def llama3_rope(factor):
    return {"rope_type": "llama3", "rope_theta": 500000.0, "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip


def plain_rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta} | more


def parts(bos, instructions, examples, query):
    """Segments by their lengths."""
    edges = [0, bos, bos + instructions, bos + instructions + examples, bos + instructions + examples + query]
    return dict(zip(("bos", "instructions", "examples", "query"), map(list, zip(edges, edges[1:]))))


RMS_NORMS = [["norm", 1.0, 1.0]]
LAYER_NORMS = [["ln_1.weight", 1.0, 1.0], ["ln_2.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0],
               ["norm.weight", 1.0, 1.0]]  # fmt: skip
# Queries and keys wide enough that attention is far from uniform.
SHARP = [["q_proj.weight", 0.5, 0.0], ["k_proj.weight", 0.5, 0.0]]


def gemma3(**more):
    # Gemma adds 1 to the weights of its norms.
    rules = [["q_norm", 1.0, 0.5], ["k_norm", 1.0, 0.5], ["norm", 1.0, 0.0], ["embed", 0.25, 0.0]]
    return Gemma3TextConfig(**common(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=1, intermediate_size=96, num_hidden_layers=6,
        max_position_embeddings=1024, rms_norm_eps=0.02) | more), rules  # fmt: skip


def starcoder2(**more):
    return Starcoder2Config(**common(
        hidden_size=256, num_attention_heads=2, num_key_value_heads=1, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=16384, norm_epsilon=0.02, rope_parameters=plain_rope(999999.4420358813),
        use_bias=True, tie_word_embeddings=True) | more), LAYER_NORMS + SHARP + [["embed", 0.5, 0.0]]  # fmt: skip


def gpt_neox(**more):
    return GPTNeoXConfig(**common(
        hidden_size=192, num_attention_heads=3, intermediate_size=256, num_hidden_layers=3, layer_norm_eps=0.02,
        max_position_embeddings=2048, rope_parameters=plain_rope(10000.0, partial_rotary_factor=0.25),
        hidden_act="gelu", tie_word_embeddings=False) | more
    ), LAYER_NORMS + [["query_key_value.weight", 0.5, 0.0], ["embed_in", 4.0, 0.0]]  # fmt: skip


def models():
    """name -> (configuration, rules for the weights), segments, by how much the study's lengths are off, cells."""
    small = parts(0, 8, 22, 10)
    yield "llama-2", (LlamaConfig(**common(
        hidden_size=256, num_attention_heads=2, num_key_value_heads=2, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=4096, rms_norm_eps=0.02, tie_word_embeddings=False, rope_parameters=plain_rope(10000.0),
    )), RMS_NORMS + SHARP[1:] + [["embed", 4.0, 0.0]]), parts(1, 8, 21, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "llama-3.1", (LlamaConfig(**common(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=1, head_dim=128, intermediate_size=96,
        num_hidden_layers=3, max_position_embeddings=131072, rms_norm_eps=0.02, tie_word_embeddings=False,
        rope_parameters=llama3_rope(8.0),
    )), RMS_NORMS + SHARP + [["embed", 4.0, 0.0]]), parts(1, 9, 22, 10), (-1, 0, -1), all_cells  # fmt: skip
    yield "llama-3.2", (LlamaConfig(**common(
        hidden_size=128, num_attention_heads=4, num_key_value_heads=1, head_dim=64, intermediate_size=160,
        num_hidden_layers=3, max_position_embeddings=131072, rms_norm_eps=0.02, tie_word_embeddings=True,
        rope_parameters=llama3_rope(32.0),
    )), RMS_NORMS + SHARP + [["embed", 0.5, 0.0]]), parts(1, 8, 21, 10), (-1, -1, 0), all_cells  # fmt: skip
    qwen2 = common(
        hidden_size=448, num_attention_heads=7, num_key_value_heads=1, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=32768, rms_norm_eps=0.02, tie_word_embeddings=True, rope_parameters=plain_rope(1e6),
    )  # fmt: skip
    rules = RMS_NORMS + [["q_proj.weight", 0.25, 0.0], ["k_proj.weight", 0.5, 0.0], ["embed", 0.5, 0.0]]
    yield "qwen2", (Qwen2Config(**qwen2), rules), small, (1, 0, 1), all_cells
    yield "qwen2-window", (Qwen2Config(**qwen2 | {
        "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1,
    }), rules), small, (0, -1, -1), all_cells  # fmt: skip
    yield "gpt-neo", (GPTNeoConfig(**common(
        hidden_size=256, num_heads=2, num_layers=4, attention_types=[[["global", "local"], 2]], window_size=256,
        intermediate_size=256, max_position_embeddings=512, layer_norm_epsilon=0.02, tie_word_embeddings=True,
        # Its scores are not divided by the root of the head size.
    )), LAYER_NORMS + [["q_proj", 0.125, 0.0], ["k_proj", 0.125, 0.0], ["wte", 0.5, 0.0], ["wpe", 1.0, 0.0]]), parts(
        0, 42, 230, 18), (1, -1, 0), all_cells  # fmt: skip
    yield "bloom", (BloomConfig(**common(
        hidden_size=240, n_head=3, n_layer=3, layer_norm_epsilon=0.02, tie_word_embeddings=True,
    )), [["layernorm.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0], ["query_key_value.weight", 0.5, 0.0],
         ["word_embeddings.weight", 0.5, 0.0]]), small, (0, 1, -1), all_cells  # fmt: skip
    yield "starcoder2-short", starcoder2(sliding_window=24), small, (1, 0, -1), all_cells
    yield "starcoder2", starcoder2(sliding_window=4096, num_hidden_layers=2), parts(0, 60, 4040, 12), (0, -1, -1), few_cells
    yield "gpt2", (GPT2Config(**common(
        n_embd=192, n_head=3, n_layer=3, n_positions=1024, layer_norm_epsilon=0.02, n_inner=256,
    )), LAYER_NORMS + [["c_attn.weight", 0.5, 0.0], ["wte", 0.5, 0.0], ["wpe", 1.0, 0.0]]), small, (0, 0, -1), all_cells  # fmt: skip
    yield "gpt-neox", gpt_neox(), small, (-1, 0, 0), all_cells
    yield "gpt-neox-serial", gpt_neox(use_parallel_residual=False), small, (0, -1, 1), all_cells
    yield "gemma3", gemma3(
        head_dim=256, sliding_window=512, query_pre_attn_scalar=256,
        rope_parameters={"full_attention": plain_rope(1e6), "sliding_attention": plain_rope(1e4)},
    ), parts(1, 34, 484, 22), (-1, 0, -1), all_cells  # fmt: skip
    yield "gemma3-short", gemma3(
        head_dim=128, sliding_window=8, query_pre_attn_scalar=168, num_hidden_layers=6,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            "sliding_attention": plain_rope(1e4),
        },
    ), parts(1, 8, 21, 10), (0, -1, 0), all_cells  # fmt: skip


# --- Cells ---------------------------------------------------------------------------------------------------


def all_cells(n_layers):
    """(profile, mask, from_layer); `all` and `none` are the same in both profiles."""
    yield "exact", "none", n_layers
    for profile in ("exact", "sia2024"):
        for mask in MASKS + (["all"] if profile == "exact" else []):
            for from_layer in (0, n_layers // 2, n_layers - 1):
                yield profile, mask, from_layer


def few_cells(n_layers):
    yield "exact", "none", n_layers
    yield "exact", "TTF", 0
    yield "sia2024", "FTF", 1


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
    """A greedy choice that another program might make otherwise, or a mask that changes next to nothing."""


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

    def check(self):
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
