#!/usr/bin/env python3
"""A thousand greedy tokens of every model family and checkpoint format: icl-mask against Hugging Face transformers.

For each family of tests/goldens/family_models.py (layer patterns, windows and rotary scaling of real models; small widths
and random weights) real files are written to a scratch folder: safetensors in f32, in bf16 and in shards, and, where
llama.cpp knows the family and the file tells all of the model, GGUF in F16 and Q8_0 as its converter would write it.
`examples/greedy.rs` generates from each file; transformers generates from the same weights with its own loop and cache,
float32, eager attention. It reads the GGUF files itself where it can; else the weights are packed and unpacked by the
gguf package.

    families.py --greedy target/release/examples/greedy [--scratch FOLDER] [--tokens 1000] [--random N] [FAMILY ...]

With `--random N` the models are those of random_models.py instead: so many of drawn sizes, as safetensors in f32. Where none of eight
seeds is without a loop, the one with the most distinct 8-grams at the beginning is taken.

Prints a Markdown table. Logits are compared up to the first token that differs; "relative" is to the largest of them.
"transformers' own" is by how much its logits differ, relatively, when it reads the same tokens at once instead of one
by one, in float32 or in float64, the larger of both: what f32 itself leaves open. A seed is taken only if the generation does not fall into a loop: more than a third
of its 8-grams are distinct. Exit code 0: no token differs but for near-ties, and no logit by more than 1e-4 of the
largest, or twice transformers' own difference; 1: else.
"""

import argparse
import importlib.metadata
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "goldens")]
import drawn  # noqa: E402
from family_models import models  # noqa: E402
from masked import as_trained  # noqa: E402
from random_models import random_models  # noqa: E402
from write_gguf import has_gguf, kind_of, tells_all, write_gguf  # noqa: E402

VOCAB, PROMPT = 512, 20
# The seed of the drawn sizes.
SEED = 26
# With the rules of the goldens these say the same few tokens again and again: small biases, strong MLPs, more layers.
LIVELY = {
    "bloom": [["bias", 0.125, 0.0], ["dense.weight", 0.5, 0.0], ["dense_h_to_4h.weight", 0.5, 0.0],
              ["dense_4h_to_h.weight", 0.25, 0.0]],
    "starcoder2": [["bias", 0.125, 0.0]],
}  # fmt: skip
# Families whose GGUF files transformers reads.
READ = ("llama", "qwen2", "starcoder2", "gpt2", "bloom", "gemma3_text", "gemma2", "qwen3", "qwen3_moe", "phi3")
# In logits: with a smaller lead of transformers' own choice a differing token is a near-tie.
NEAR_TIE = 1e-4
TOLERANCE = 1e-4


def wanted_models(names):
    for name, (config, rules), _, _, _ in models():
        # They differ from others by windows too short for a thousand tokens to matter; and one that computes all rows
        # again once is slow in transformers from then on.
        if name in ("starcoder2-short", "gemma3-short", "phi4-mini-crossing") or (names and name not in names):
            continue
        config.vocab_size = VOCAB
        if config.model_type in LIVELY:
            rules, config.num_hidden_layers = LIVELY[config.model_type] + rules, 6
        if config.model_type == "bloom":
            # Rows of 240 do not fit the blocks of Q8_0.
            config.hidden_size, config.n_head = 480, 6
        elif config.model_type == "gpt2":
            # The converter takes it to be four times the width.
            config.n_inner = None
        else:
            config.max_position_embeddings = max(config.max_position_embeddings, 2048)
        yield name, config, rules


def generate(model, ids, tokens):
    """transformers' own greedy generation: tokens and the logits each was chosen from."""
    made = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=tokens, do_sample=False,
        repetition_penalty=1.0, return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    return made.sequences[0, len(ids) :].tolist(), torch.cat(made.logits).float().numpy()


def distinct_share(tokens):
    grams = [tuple(tokens[i : i + 8]) for i in range(len(tokens) - 7)]
    return len(set(grams)) / len(grams)


def opened(folder, **more):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **more)
    return as_trained(model).eval()


def repacked(model, kind):
    """The model with matrices as a GGUF file of this kind holds them: row by row, whatever the order of rows."""
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or "norm" in name or name.endswith(("gate.weight", "router.weight", "_bias")):
            continue
        # The rows of these are their last but one dimension.
        turned = model.config.model_type == "gpt_oss" and ".experts." in name
        rows = parameter.detach().numpy()
        rows = np.ascontiguousarray(rows.swapaxes(1, 2) if turned else rows)
        held = kind_of("matrix.weight", rows, kind)
        wide = torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(rows, held), held))
        parameter.data.copy_(wide.swapaxes(1, 2) if turned else wide)
    return model


def checkpoints(folder, model):
    """(format, what Rust reads, how transformers gets the same weights or None for those just before)."""
    config = model.config
    plain = folder / "f32"
    model.save_pretrained(plain)
    yield "safetensors f32", plain, lambda: opened(plain)
    sharded, size = folder / "sharded", sum(p.numel() * 4 for p in model.parameters())
    model.save_pretrained(sharded, max_shard_size=f"{size // 3000}KB")
    n = len(list(sharded.glob("*.safetensors")))
    assert n > 1
    yield f"safetensors f32, {n} shards", sharded, None
    bf16 = folder / "bf16"
    opened(plain).to(torch.bfloat16).save_pretrained(bf16)
    yield "safetensors bf16", bf16, lambda: opened(bf16)
    if has_gguf(config) and tells_all(config):
        for kind in ("F16", "Q8_0"):
            file = folder / f"{kind}.gguf"
            write_gguf(file, opened(plain), kind)
            if config.model_type not in READ:
                yield f"GGUF {kind}", file, lambda: repacked(opened(plain), kind)
            else:
                unpacked = transformers.GgufConfig(dequantize=True)
                yield f"GGUF {kind}", file, lambda: opened(
                    folder, gguf_file=file.name, config=config, quantization_config=unpacked)  # fmt: skip


def first_model(config, rules, ids, tokens, seeds):
    """The first seed whose generation does not fall into a loop; of a few seeds the best one."""
    best = None
    for seed in range(seeds or 100):
        model = as_trained(AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")).eval()
        drawn.fill(model, str(seed), rules)
        # A loop shows early.
        early = distinct_share(generate(model, ids, min(tokens, 150))[0])
        if early > 0.6 and (share := distinct_share(generate(model, ids, tokens)[0])) > 1 / 3:
            return seed, model, share
        if seeds and (best is None or early > best[2]):
            best = seed, model, early
    return best or sys.exit("no seed gives a generation without loop")


def other_ways(model, ids, tokens):
    """The logits of the same tokens, read at once: in float32, and in float64."""
    for dtype in (torch.float32, torch.float64):
        read = model.to(dtype)(torch.tensor([ids + tokens[:-1]]), use_cache=False)
        yield read.logits[0, PROMPT - 1 :].double().numpy()


def compare(args, name, config, rules, scratch):
    """Rows of the table, and whether all is well."""
    ids, ok = drawn.token_ids("families", PROMPT, VOCAB), True
    seed, model, distinct = first_model(config, rules, ids, args.tokens, 8 if args.random else None)
    prompt, out = scratch / "prompt.json", scratch / "generated"
    prompt.write_text(json.dumps(ids))
    folder = scratch / name.replace(" ", "-")
    formats = checkpoints(folder, model)
    for kind, path, peer in [next(formats)] if args.random else formats:
        if peer:
            reference = peer()
            theirs, their_logits = generate(reference, ids, args.tokens)
            largest = float(np.abs(their_logits).max())
            own_gap = max(float(np.abs(logits - their_logits).max()) for logits in other_ways(reference, ids, theirs)) / largest
        subprocess.run(
            [args.greedy, path, "--prompt", prompt, "--tokens", str(args.tokens), "--out", out], check=True
        )
        ours = json.loads(out.with_suffix(".json").read_text())
        our_logits = np.fromfile(out.with_suffix(".f32"), dtype="<f4").reshape(args.tokens, -1)
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), None)
        compared = slice(0, args.tokens if first is None else first + 1)
        gap = float(np.abs(our_logits[compared] - their_logits[compared]).max())
        relative = gap / largest
        difference = "none"
        if first is not None:
            row = their_logits[first]
            lead = float(row[theirs[first]] - row[ours[first]])
            difference = f"token {first + 1}, where transformers prefers its own by {lead:.1e}"
            ok &= lead < NEAR_TIE
            difference += " (a near-tie)" if lead < NEAR_TIE else ""
        ok &= math.isfinite(relative) and relative <= max(TOLERANCE, 2 * own_gap)
        print(f"| {name} | {kind} | {gap:.1e} | {relative:.1e} | {own_gap:.1e} | {difference} | {distinct:.0%} | {seed} |", flush=True)
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*")
    parser.add_argument("--greedy", required=True, help="examples/greedy.rs, compiled")
    parser.add_argument("--scratch", type=Path, help="where the files go; default: a temporary folder")
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--random", type=int, metavar="N", help="so many models of drawn sizes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    packages = [(package, importlib.metadata.version(package)) for package in ("transformers", "torch", "gguf")]
    packages.append(("Python", platform.python_version()))
    versions = ", ".join(" ".join(package) for package in packages)
    print(f"{versions}; {args.tokens} greedy tokens after {PROMPT}; seeds of tests/goldens/drawn.py.\n")
    print("| family | checkpoint | largest logit difference | relative | transformers' own | first token that differs |",
          "distinct 8-grams | seed |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    ok = True
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        drawn_models = args.random and random_models(args.random, SEED, VOCAB)
        for name, config, rules in drawn_models or wanted_models(args.families):
            started = time.time()
            ok &= compare(args, name, config, rules, args.scratch or Path(temporary))
            print(f"  {name}: {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
