#!/usr/bin/env python3
"""What PEFT and transformers compute when a LoRA adapter is trained on one layer, with the models of make_families.py,
for the tests in Rust.

    pip install torch transformers safetensors peft gguf
    python tests/goldens/make_lora.py [FAMILY ...]

Takes model and weights from tests/goldens/families/NAME/ as make_families.py left them, and writes into
tests/goldens/lora/NAME/ `lora.json`, `lora.safetensors` with all matrices, named by where they belong in the JSON, and
the folder `adapter`, which is the trained adapter as PEFT saves it. A is [r, in], B is [out, r].

The adapter sits on the output projection of attention in the middle layer, without dropout; nor has the model any. Each
loss is transformers' own of a batch, padded on the right: the mean over all tokens that are predicted. `whole` counts
all but the first of each sequence, `target` those from position `from` on.

`init`: A as PEFT begins it after torch.manual_seed(seed); B is zero. first_a says how it comes from a Mersenne Twister,
of which `skipped_words` words are used up before.

    init.a

`gradients`: the losses of all sequences with that A and a drawn B, and their gradients; for some families the same,
`whole` only, for an adapter on each other projection of that layer

    gradients.b, gradients.<whole or target>.<grad_a or grad_b>
    gradients.projections.<name>.<a, b, grad_a or grad_b>

`training`: 20 steps from `init` on, with AdamW (betas 0.9 and 0.999, eps 1e-8), a rate that falls linearly to zero, and
gradients clipped by their norm; the loss before each step, and the norm before clipping. The A and B that come out are
those in `adapter`.

`adapted`: with the trained adapter and without it (`plain_`), the `whole` loss of all sequences and the logits after
the last token of one of them.

The checks of this script must hold for each model, else it stops. Each gradient is also computed without padding, in
float64, and as a difference quotient.
"""

import copy
import json
import math
import statistics
import sys
import time

import numpy as np
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode
from transformers import get_linear_schedule_with_warmup
from transformers.pytorch_utils import Conv1D

# First: it also lets tests/peers be imported.
from make_inside import AGREE, CHANGE, FAMILIES, apart, build, same  # isort: skip
import drawn
from masked import PLACES

LORA = FAMILIES.parent / "lora"
# All files together.
MOST_BYTES = 2_500_000
R, ALPHA, SEED = 4, 10, 7
# Beside these lengths one that is beyond the window, if that is a short one.
LENGTHS, SHORT_WINDOW, BEYOND, LONGEST = [7, 12, 19, 26], 64, 5, 33
# `target` begins after that share of a sequence.
TARGET = 0.6
STEPS, WEIGHT_DECAY = 20, 0.01
# Learning rate and largest norm of the gradient: the loss falls, and some steps are clipped.
TRAINING = {
    "bloom": (0.02, 2.0),
    "gemma3": (0.02, 0.3),
    "gemma3-short": (0.03, 0.2),
    "gpt-neo": (0.02, 2.0),
    "gpt-neox": (0.02, 2.0),
    "gpt-neox-serial": (0.01, 2.0),
    "gpt2": (0.02, 2.0),
    "llama-2": (0.02, 2.0),
    "llama-3.1": (0.02, 1.0),
    "llama-3.2": (0.01, 1.5),
    "qwen2": (0.01, 4.0),
    "qwen2-window": (0.01, 4.0),
    "starcoder2": (0.02, 2.0),
    "starcoder2-short": (0.02, 2.0),
    "qwen3": (0.02, 0.84),
    "qwen3-yarn": (0.02, 0.5),
    "mistral": (0.02, 0.6),
    "mistral-short": (0.02, 0.8),
    "mistral-v0.3": (0.02, 0.7),
    "ministral": (0.02, 0.6),
    "gemma2": (0.04, 0.22),
    "gemma2-short": (0.03, 0.2),
    "olmo2": (0.02, 0.7),
    "olmo3": (0.02, 0.5),
    "smollm3": (0.02, 0.6),
    "granite": (0.02, 0.35),
    "phi3": (0.02, 0.7),
    "phi3-long": (0.02, 0.7),
    "phi4-mini": (0.02, 0.9),
    "phi4-mini-crossing": (0.02, 0.9),
    "gptj": (0.02, 0.6),
    "opt": (0.01, 2.0),
    "opt-350m": (0.02, 1.0),
    "falcon-rw": (0.01, 0.8),
    "falcon-7b": (0.02, 0.6),
    "falcon-40b": (0.02, 0.6),
    "falcon-11b": (0.02, 0.6),
    "cohere": (0.03, 0.49),
    "cohere-plus": (0.02, 0.5),
    "stablelm": (0.02, 0.7),
    "stablelm-2-12b": (0.01, 0.7),
    "qwen3-moe": (0.02, 0.4),
    "mixtral": (0.02, 0.7),
    "olmoe": (0.02, 0.7),
    "granitemoe": (0.02, 0.59),
    "gpt-oss": (0.02, 0.5),
}
# The sequence whose logits are stored.
LOOKED_AT = 3
# Step of the difference quotient, and how well that agrees with the gradient; both in float64.
STEP, QUOTIENT = 1e-5, 1e-6
# float32 has the gradient of float64, as a share of its largest number.
ROUNDED = 1e-4
# With A and all gradients off by the first share (of themselves, and of the largest number), training has the same
# losses and the same A and B in the end up to the other two.
NOISE, CALM_LOSSES, CALM_END = 1e-5, 1e-4, 1e-3
# By that share training lowers the loss of all sequences.
FALL = 0.1

# The other projections that are modules of their own, by their place in a layer.
QKV = {part: f"self_attn.{part}_proj" for part in "qkv"}
GATED = QKV | {part: f"mlp.{part}_proj" for part in ("gate", "up", "down")}
FUSED = {"up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h"}
GPT2 = {"up": "mlp.c_fc", "down": "mlp.c_proj"}
PROJECTIONS = dict.fromkeys((
    "llama", "qwen2", "gemma3_text", "qwen3", "gemma2", "mistral", "ministral", "olmo2", "olmo3", "smollm3", "granite",
    "cohere", "stablelm",
), GATED) | dict.fromkeys(("qwen3_moe", "mixtral", "olmoe", "granitemoe", "gpt_oss"), QKV) | {
    "starcoder2": QKV | GPT2,
    "phi3": {"down": "mlp.down_proj"},
    "gptj": {part: f"attn.{part}_proj" for part in "qkv"} | {"up": "mlp.fc_in", "down": "mlp.fc_out"},
    "opt": QKV | {"up": "fc1", "down": "fc2"},
    "falcon": FUSED,
    "gpt_neo": {part: f"attn.attention.{part}_proj" for part in "qkv"} | GPT2,
    "gpt2": GPT2,
    "bloom": FUSED,
    "gpt_neox": FUSED,
}  # fmt: skip
WITH_PROJECTIONS = ["llama-3.2", "qwen2", "gemma3-short", "gpt-neo", "bloom", "starcoder2-short", "gpt2", "gpt-neox",
                    "qwen3", "gemma2-short", "olmo3", "phi4-mini", "gptj", "opt-350m", "falcon-40b", "cohere-plus",
                    "stablelm", "qwen3-moe", "gpt-oss"]  # fmt: skip


def first_a(seed, n_in, n_out):
    """The A that PEFT begins with, without torch, and the words of the generator before it. PEFT makes A and B as
    linear layers, each of which takes one word per number, and then draws A again.

    The lower 24 bits of a word are a fraction u in [0, 1), and the number is u * 2 bound - bound. All that is in
    float32, the bound being rounded from float64. On processors that can, torch multiplies and adds with one rounding
    at the end; in float64, as here, product and sum are exact, so that it is the same. A torch without such
    instructions (ATEN_CPU_CAPABILITY=default) also rounds the product, and has another last bit in about half of the
    numbers.
    """
    skipped = n_in * R + R * n_out
    words = np.random.RandomState(seed).randint(0, 2**32, skipped + R * n_in, dtype=np.uint32)[skipped:]
    bound = np.float64(np.float32(1 / math.sqrt(n_in)))
    numbers = (words & 0xFFFFFF) / 2**24 * (2 * bound) - bound
    return torch.from_numpy(numbers.astype(np.float32).reshape(R, n_in)), skipped


def pad(sequences, starts):
    """A batch; predicted are the tokens from `starts` on."""
    n = max(map(len, sequences))
    lines = [(ids, start, [0] * (n - len(ids))) for ids, start in zip(sequences, starts, strict=True)]
    return {
        "input_ids": torch.tensor([ids + rest for ids, _, rest in lines]),
        "attention_mask": torch.tensor([[1] * len(ids) + rest for ids, _, rest in lines]),
        "labels": torch.tensor([[-100] * start + ids[start:] + [-100] * len(rest) for ids, start, rest in lines]),
    }


class InDoubles(TorchFunctionMode):
    """Whoever asks for float32 gets float64: models do so in norms and softmax, whatever they were told."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        args = [torch.float64 if x is torch.float32 else x for x in args]
        kwargs = {name: torch.float64 if x is torch.float32 else x for name, x in (kwargs or {}).items()}
        return (torch.Tensor.double if func is torch.Tensor.float else func)(*args, **kwargs)


def trained_ones(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def number(x):
    """Nine digits are enough to get the same float32 back."""
    return float(f"{x.item():.9g}")


class Adapted:
    """One model, its sequences, and what was computed so far."""

    def __init__(self, name):
        self.name, self.draw = name, json.loads((FAMILIES / name / "expected.json").read_text())["draw"]
        config = self.build().config
        self.layers, attention, projection = PLACES[config.model_type]
        self.layer, self.place = config.num_hidden_layers // 2, f"{attention}.{projection}"
        self.others = PROJECTIONS[config.model_type] if name in WITH_PROJECTIONS else {}
        window = getattr(config, "sliding_window", None) or getattr(config, "window_size", None) or math.inf
        lengths = [*LENGTHS, window + BEYOND if window <= SHORT_WINDOW else LONGEST]
        self.sequences = [self.tokens(i, n, config.vocab_size) for i, n in enumerate(lengths)]
        self.starts = {"whole": [1] * len(lengths), "target": [round(TARGET * n) for n in lengths]}
        self.arrays, self.worst = {}, {}

    def build(self):
        return build(FAMILIES / self.name, self.draw)

    def tokens(self, i, n, vocab):
        return [int(bits) * vocab >> 24 for bits in drawn.fractions(self.draw["seed"], f"lora {i}", n)]

    def between(self, name, shape, most):
        """Drawn from -most to most."""
        return torch.from_numpy(drawn.weight(f"lora {name}", tuple(shape), self.draw["seed"], [["", 2 * most, 0.0]]))

    def holds(self, what, held):
        assert held, f"{self.name}: {what}"

    def below(self, what, gap, most):
        self.worst[what] = max(self.worst.get(what, 0.0), gap)
        self.holds(f"{what}: {gap}", gap < most)

    # --- Adapter -------------------------------------------------------------------------------------------------

    def begin(self, place):
        """The model with a new adapter, as PEFT begins it."""
        model = self.build()
        path = f"{self.layers}.{self.layer}.{place}"
        config = LoraConfig(
            task_type="CAUSAL_LM", r=R, lora_alpha=ALPHA, lora_dropout=0.0, bias="none", target_modules=[place],
            layers_to_transform=[self.layer], layers_pattern=self.layers.split(".")[-1],
            fan_in_fan_out=isinstance(model.get_submodule(path), Conv1D))  # fmt: skip
        torch.manual_seed(SEED)
        model = get_peft_model(model, config).eval()
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        wanted = [f"base_model.model.{path}.lora_{letter}.default.weight" for letter in "AB"]
        self.holds(f"one module has an adapter: {names}", names == wanted)
        a, b = trained_ones(model)
        ours, skipped = first_a(SEED, a.shape[1], b.shape[0])
        self.holds("A begins as we know", same(a, ours))
        self.holds("B begins as zero", not b.any())
        return model, skipped

    def loss(self, model, starts, indices=None):
        indices = range(len(self.sequences)) if indices is None else indices
        batch = pad([self.sequences[i] for i in indices], [starts[i] for i in indices])
        return model(**batch, use_cache=False).loss

    def loss_one_by_one(self, model, starts):
        """The same without padding or labels."""
        total, count = 0.0, 0
        for ids, start in zip(self.sequences, starts, strict=True):
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
            total = total + cross_entropy(logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="sum")
            count += len(ids) - start
        return total / count

    # --- Gradients -----------------------------------------------------------------------------------------------

    def initialise(self):
        model, skipped = self.begin(self.place)
        self.arrays["init.a"] = trained_ones(model)[0]
        self.init = {"seed": SEED, "skipped_words": skipped}
        plain, begun = (self.loss(x, self.starts["whole"]) for x in (self.build(), model))
        self.holds("as it begins, an adapter changes nothing", same(plain, begun))

    def derive(self):
        model, _ = self.begin(self.place)
        self.arrays["gradients.b"] = self.fill_b(model, self.place)
        self.gradients = {kind: self.gradient(model, kind, f"gradients.{kind}") for kind in self.starts}
        for letter in "ab":
            whole, target = (self.arrays[f"gradients.{kind}.grad_{letter}"] for kind in self.starts)
            self.holds("whole and target have other gradients", apart(whole, target) > CHANGE)
        if self.others:
            self.gradients["projections"] = {}
        for name, place in self.others.items():
            model, skipped = self.begin(place)
            head = f"gradients.projections.{name}"
            self.arrays[f"{head}.a"] = trained_ones(model)[0]
            self.arrays[f"{head}.b"] = self.fill_b(model, place)
            entry = {"module": place, "skipped_words": skipped} | self.gradient(model, "whole", head)
            self.gradients["projections"][name] = entry

    def fill_b(self, model, place):
        b = trained_ones(model)[1]
        b.data.copy_(self.between(f"b {place}", b.shape, 0.3))
        return b

    def gradient(self, model, kind, head):
        starts, pair = self.starts[kind], trained_ones(model)
        loss = self.loss(model, starts)
        found = torch.autograd.grad(loss, pair)
        other_loss = self.loss_one_by_one(model, starts)
        self.below("loss without padding", apart(loss.detach(), other_loss.detach()), AGREE)
        for array, other in zip(found, torch.autograd.grad(other_loss, pair), strict=True):
            self.below("gradient without padding", apart(array, other), ROUNDED)
        for array, exact in zip(found, self.exact_gradient(model, starts), strict=True):
            self.below("gradient in float64", apart(exact, array), ROUNDED)
        self.arrays |= {f"{head}.grad_{letter}": array for letter, array in zip("ab", found, strict=True)}
        return {"loss": number(loss)}

    def exact_gradient(self, model, starts):
        """The gradient in float64, which must be what the loss does when A and B are moved."""
        model = copy.deepcopy(model).double()
        pair = trained_ones(model)
        begin = [array.detach().clone() for array in pair]
        direction = [self.between(f"direction {i}", array.shape, 1.0).double() for i, array in enumerate(pair)]
        length = math.hypot(*(float(array.norm()) for array in direction))
        with InDoubles():
            found = torch.autograd.grad(self.loss(model, starts), pair)
            ends = []
            for step in (STEP, -STEP):
                for array, start, move in zip(pair, begin, direction, strict=True):
                    array.data.copy_(start + step / length * move)
                ends.append(self.loss(model, starts).item())
        slope = sum(float((array * move).sum()) / length for array, move in zip(found, direction, strict=True))
        self.below("difference quotient", abs((ends[0] - ends[1]) / (2 * STEP) / slope - 1), QUOTIENT)
        return found

    # --- Training ------------------------------------------------------------------------------------------------

    def batches(self):
        """Each round takes all sequences in a drawn order, three and then two."""
        for epoch in range(STEPS // 2):
            order = np.argsort(drawn.fractions(self.draw["seed"], f"lora round {epoch}", len(self.sequences))).tolist()
            yield order[:3]
            yield order[3:]

    def steps(self, model, batches, rate, most, noise=0.0):
        """Losses before each step and norms before clipping."""
        pair, losses, norms = trained_ones(model), [], []
        optimizer = torch.optim.AdamW(pair, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY)
        schedule = get_linear_schedule_with_warmup(optimizer, 0, STEPS)
        for array in pair:
            array.data.mul_(1 + self.between("noise", array.shape, noise))
        for step, indices in enumerate(batches):
            optimizer.zero_grad()
            loss = self.loss(model, self.starts["whole"], indices)
            loss.backward()
            for i, array in enumerate(pair):
                array.grad += self.between(f"noise {step} {i}", array.shape, noise) * array.grad.abs().max()
            losses.append(number(loss))
            norms.append(number(torch.nn.utils.clip_grad_norm_(pair, most)))
            optimizer.step()
            schedule.step()
        return losses, norms

    def train(self):
        rate, most = TRAINING[self.name]
        batches = list(self.batches())
        self.holds("the last batches differ in size", len(batches[-1]) != len(batches[-2]))
        model, _ = self.begin(self.place)
        losses, norms = self.steps(model, batches, rate, most)
        self.training = {"learning_rate": rate, "weight_decay": WEIGHT_DECAY, "max_grad_norm": most, "batches": batches,
                         "losses": losses, "norms": norms}  # fmt: skip
        self.clipped = sum(norm > most for norm in norms)
        self.holds(f"some but not all steps are clipped: {norms}", STEPS // 5 <= self.clipped <= STEPS * 4 // 5)
        self.check_calm(model, batches, losses)
        self.save(model)

    def check_calm(self, model, batches, losses):
        other, _ = self.begin(self.place)
        others, _ = self.steps(other, batches, *TRAINING[self.name], NOISE)
        for ours, theirs in zip(losses, others, strict=True):
            self.below("losses with noise", abs(theirs / ours - 1), CALM_LOSSES)
        for letter, array, noisy in zip("AB", trained_ones(model), trained_ones(other), strict=True):
            self.below(f"trained {letter} with noise", apart(array.detach(), noisy.detach()), CALM_END)

    def save(self, model):
        folder = LORA / self.name / "adapter"
        # Else PEFT stores the folder of the model.
        model.peft_config["default"].base_model_name_or_path = self.name
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()
        files = sorted(path.name for path in folder.iterdir())
        self.holds(f"two files are saved: {files}", files == ["adapter_config.json", "adapter_model.safetensors"])
        config = json.loads((folder / "adapter_config.json").read_text())
        self.holds("the configuration names the family", config["base_model_name_or_path"] == self.name)
        saved = [array for _, array in sorted(load_file(folder / "adapter_model.safetensors").items())]
        self.holds("A and B are saved", all(same(*both) for both in zip(saved, trained_ones(model), strict=True)))
        loaded = PeftModel.from_pretrained(self.build(), folder).eval()
        row, plain = self.last_row(model), self.last_row(self.build())
        self.holds("a loaded adapter gives the same logits", same(row, self.last_row(loaded)))
        self.change = apart(plain, row)
        self.holds(f"training changes the logits: {self.change}", self.change > CHANGE)
        loss, before = (self.loss(x, self.starts["whole"]) for x in (model, self.build()))
        self.holds(f"training lowers the loss: {before} to {loss}", loss < before * (1 - FALL))
        self.adapted = {"sequence": LOOKED_AT, "loss": number(loss), "plain_loss": number(before),
                        "logits": [number(x) for x in row], "plain_logits": [number(x) for x in plain]}  # fmt: skip

    def last_row(self, model):
        return model(input_ids=torch.tensor([self.sequences[LOOKED_AT]]), use_cache=False).logits[0, -1].detach()

    # --- All of it -----------------------------------------------------------------------------------------------

    def report(self):
        losses, norms = self.training["losses"], self.training["norms"]
        each = [self.gradients["whole"], self.gradients["target"], *self.gradients.get("projections", {}).values()]
        print(f"  gradients: losses {[round(entry['loss'], 2) for entry in each]}")
        print(f"  training: losses {min(losses):.2f} to {max(losses):.2f}, of all sequences",
              f"{self.adapted['plain_loss']:.2f} to {self.adapted['loss']:.2f}; norms {min(norms):.2f},",
              f"{statistics.median(norms):.2f}, {max(norms):.2f}; {self.clipped} clipped; logits change by",
              f"{self.change:.2f}")  # fmt: skip
        print("  worst:", ", ".join(f"{what} {gap:.0e}" for what, gap in self.worst.items()))

    def write(self):
        arrays = {name: array.detach().contiguous() for name, array in self.arrays.items()}
        for name, array in arrays.items():
            self.holds(f"{name} is finite and not zero", bool(array.isfinite().all() and array.any()))
        save_file(arrays, LORA / self.name / "lora.safetensors")
        entries = {"made_by": "tests/goldens/make_lora.py"}
        entries["versions"] = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
        entries |= {"layer": self.layer, "module": self.place, "r": R, "alpha": ALPHA, "sequences": self.sequences}
        entries |= {"from": self.starts["target"], "init": self.init, "gradients": self.gradients}
        entries |= {"training": self.training, "adapted": self.adapted}
        lines = ",\n".join(f'"{name}":{json.dumps(entry, separators=(",", ":"))}' for name, entry in entries.items())
        (LORA / self.name / "lora.json").write_text(f"{{\n{lines}\n}}\n")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    wanted = sys.argv[1:]
    for name in sorted(path.parent.name for path in FAMILIES.glob("*/expected.json")):
        if not wanted or name in wanted:
            started = time.time()
            adapted = Adapted(name)
            adapted.initialise()
            adapted.derive()
            adapted.train()
            adapted.write()
            print(f"{name}: {time.time() - started:.0f} s", flush=True)
            adapted.report()
    total = 0
    for folder in sorted(LORA.iterdir()):
        size = sum(path.stat().st_size for path in folder.rglob("*.*"))
        total += size
        print(f"{size / 1024:6.1f} KiB {folder.name}")
    assert total < MOST_BYTES, total


if __name__ == "__main__":
    main()
