"""transformers' own models with columns hidden from a layer on, for the scripts beside this one.

At layers >= from_layer no row may read a hidden column, its own included; a row with nothing to read gets zeros from
attention; `all` leaves a row its own column only. What a row may read at all (causal order, window) is taken from the
attention mask that transformers itself made. Layers below from_layer run transformers' own eager code.

Most families take their attention function from the public registry, and ours is registered there. GPT-Neo and BLOOM
compute attention in their modules; those methods are replaced, instance by instance.
"""

import sys

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from parity import Mask, with_noise  # tests/peers

# Where each family keeps its layers, in a layer its attention, and in that the output projection.
PLACES = {
    "llama": ("model.layers", "self_attn", "o_proj"),
    "qwen2": ("model.layers", "self_attn", "o_proj"),
    "starcoder2": ("model.layers", "self_attn", "o_proj"),
    "gemma3_text": ("model.layers", "self_attn", "o_proj"),
    "gpt2": ("transformer.h", "attn", "c_proj"),
    "gpt_neo": ("transformer.h", "attn.attention", "out_proj"),
    "bloom": ("transformer.h", "self_attention", "dense"),
    "gpt_neox": ("gpt_neox.layers", "attention", "dense"),
}


class Masked:
    """A model whose attention can be told to hide columns."""

    def __init__(self, model):
        self.model, self.mask = model.eval(), None
        layers, attention, projection = PLACES[model.config.model_type]
        self.layers = list(model.get_submodule(layers))
        self.attentions = [layer.get_submodule(attention) for layer in self.layers]
        self.projections = [module.get_submodule(projection) for module in self.attentions]
        self.n_layers = len(self.layers)
        if model.config.model_type == "gpt_neo":
            self.own = [self._gpt_neo(i, module) for i, module in enumerate(self.attentions)]
        elif model.config.model_type == "bloom":
            self.own = [self._bloom(i, module) for i, module in enumerate(self.attentions)]
        else:
            self.own = None
            self.family_attention = sys.modules[type(model).__module__].eager_attention_forward
            AttentionInterface.register("icl_mask_goldens", self._registered)
            AttentionMaskInterface.register("icl_mask_goldens", eager_mask)
        self.patch()

    def patch(self, on=True):
        self.mask = None
        if self.own is None:
            self.model.set_attn_implementation("icl_mask_goldens" if on else "eager")
            return
        name = "_attn" if self.model.config.model_type == "gpt_neo" else "forward"
        for module, own in zip(self.attentions, self.own):
            module.__dict__.pop(name, None)
            if on:
                module.__dict__[name] = own

    def whole(self, ids, mask=None):
        """Logits [rows, vocab] by one call of the model's public forward, without a cache."""
        self.mask = mask
        logits = self.model(torch.tensor([ids]), use_cache=False).logits[0]
        self.mask = None
        return logits

    def states_and_logits(self, ids, mask):
        """Hidden states [layers, rows, width] after each layer, and logits [rows, vocab]."""
        states = []
        hook = lambda _, __, out: states.append((out[0] if isinstance(out, tuple) else out).reshape(len(ids), -1))
        hooks = [layer.register_forward_hook(hook) for layer in self.layers]
        logits = self.whole(ids, mask)
        for hook in hooks:
            hook.remove()
        return torch.stack(states), logits

    def attention_weights(self, ids):
        """What transformers' unpatched model attends to: per layer [heads, rows, columns]."""
        weights = []
        self.patch(on=False)
        hooks = [m.register_forward_hook(lambda _, __, out: weights.append(out[1][0])) for m in self.attentions]
        self.whole(ids)
        for hook in hooks:
            hook.remove()
        self.patch()
        return weights

    # --- The attention of masked layers --------------------------------------------------------------------------

    def _is_masked(self, layer):
        return self.mask is not None and layer >= self.mask.from_layer

    def _attend(self, scores, value, may_read):
        """scores [heads, rows, columns], value [heads, columns, width] -> output [heads, rows, width], weights."""
        visible = self.mask.visible(may_read)
        weights = scores.masked_fill(~visible, float("-inf")).softmax(dim=-1)
        # A row with nothing to read is a softmax over nothing (NaN): its output is defined as zero.
        weights = weights.masked_fill(~visible.any(dim=-1)[:, None], 0.0)
        return weights @ value, weights

    def _noisy(self, *states):
        return (with_noise(s, self.mask.hidden) for s in states) if self.mask.noise else states

    def _registered(self, module, query, key, value, attention_mask, scaling, **kwargs):
        if not self._is_masked(module.layer_idx):
            return self.family_attention(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        key, value = self._noisy(key, value)
        groups = getattr(module, "num_key_value_groups", 1)
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
        scores = (query @ key.transpose(2, 3)) * scaling
        output, weights = self._attend(scores, value, attention_mask[0, 0] == 0)
        return output.transpose(1, 2).contiguous(), weights

    def _gpt_neo(self, layer, module):
        unpatched = type(module)._attn

        def attn(query, key, value, attention_mask=None):
            if not self._is_masked(layer):
                return unpatched(module, query, key, value, attention_mask)
            key, value = self._noisy(key, value)
            n = key.shape[2]
            may_read = module.bias[0, 0, n - query.shape[2] : n, :n] & (attention_mask[0, 0] == 0)
            return self._attend(query @ key.transpose(-1, -2), value, may_read)

        return attn

    def _bloom(self, layer, module):
        unpatched = type(module).forward

        def forward(hidden_states, residual, alibi, attention_mask, **kwargs):
            if not self._is_masked(layer):
                return unpatched(module, hidden_states, residual, alibi, attention_mask, **kwargs)
            query, key, value = module._reshape(module.query_key_value(hidden_states))
            key, value = self._noisy(key, value)
            scores = alibi.baddbmm(query[0], key[0].transpose(-1, -2), beta=module.beta, alpha=module.inv_norm_factor)
            output, weights = self._attend(scores, value[0], attention_mask[0, 0] == 0)
            return module.dense(module._merge_heads(output)) + residual, weights[None]

        return forward

    def by_additive_mask(self, ids, mask):
        """The same mask by another road: transformers' own code throughout, and the lowest number in its attention
        mask. A row with nothing to read is wrong then; as its own column is hidden nobody reads it."""
        self.patch(on=False)
        hidden = torch.tensor([column in mask.hidden for column in range(len(ids))])

        def hook(_, args, kwargs):
            lowest = torch.finfo(torch.float32).min
            return args, kwargs | {"attention_mask": kwargs["attention_mask"].masked_fill(hidden, lowest)}

        modules = self.attentions[mask.from_layer :]
        hooks = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
        logits = self.whole(ids)
        for hook in hooks:
            hook.remove()
        self.patch()
        return logits


def check_the_check(masked, ids, segments):
    """(what must hold, whether it does) for the patches above, on one prompt."""
    n, mid, n_layers = len(ids), masked.n_layers // 2, masked.n_layers
    masked.patch(on=False)
    plain = masked.whole(ids)
    answer = masked.model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, n), max_new_tokens=8, do_sample=False, repetition_penalty=1.0
    )[0, n:].tolist()
    masked.patch()
    context = set(range(segments["instructions"][0], segments["examples"][1]))
    full = ids + answer[:-1]

    seen = []
    handle = masked.projections[mid].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    blind = masked.whole(ids, Mask(mid, set(range(n))))
    handle.remove()

    halfway, noisy = (masked.whole(full, Mask(mid, context, noise=noise)) for noise in (False, True))
    alone = masked.whole(full, Mask(mid, set(), own_column_only=True))
    additive, ours = (road(ids, Mask(mid, context)) for road in (masked.by_additive_mask, masked.whole))
    read = [row for row in range(n) if row not in context]
    same = lambda a, b: bool(torch.equal(a, b))
    return [
        ("from_layer = L equals the unpatched model bit for bit", same(masked.whole(ids, Mask(n_layers, context)), plain)),
        ("our attention with nothing hidden equals eager attention bit for bit", same(masked.whole(ids, Mask(0, set())), plain)),
        ("noise in hidden keys and values changes no bit of what the visible rows say",
            same(noisy[segments["query"][0] :], halfway[segments["query"][0] :])),
        ("hiding the context changes the logits", (halfway[n - 1] - plain[-1]).abs().max() > 1e-2),
        ("own column only changes the logits", (alone[n - 1] - halfway[n - 1]).abs().max() > 1e-2),
        ("rows with nothing to read get zero attention output", not seen[0].any()),
        ("and stay finite", bool(blind.isfinite().all())),
        ("an additive mask in transformers' own code gives the same logits within 1e-4",
            bool((additive[read] - ours[read]).abs().max() < 1e-4 * plain.abs().max())),
        ("whole forward passes give back transformers' own greedy generation",
            masked.whole(full)[n - 1 :].argmax(dim=-1).tolist() == answer),
    ]  # fmt: skip
