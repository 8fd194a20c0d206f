"""transformers' own models with columns hidden from a layer on, for the scripts beside this one.

At layers >= from_layer no row may read a hidden column, its own included; a row with nothing to read gets zeros from
attention; `all` leaves a row its own column only. What a row may read at all (causal order, window) is taken from the
attention mask that transformers itself made. Layers below from_layer run transformers' own eager code.

Most families take their attention function from the public registry, and ours is registered there. GPT-Neo, GPT-J, BLOOM
and Falcon compute attention in their modules; those methods are replaced, instance by instance.

Where a family has sinks, a sink takes its share of a row's attention like a column that says nothing. A row with nothing
to read leaves all to the sink, which is zero too.
"""

import math
import sys

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask
from transformers.models.falcon.modeling_falcon import FalconAttention, apply_rotary_pos_emb

from parity import Mask, with_noise  # tests/peers

# Where each family keeps its layers, in a layer its attention, and in that the output projection.
PLACES = dict.fromkeys((
    "llama", "qwen2", "starcoder2", "gemma3_text", "qwen3", "gemma2", "mistral", "ministral", "olmo2", "olmo3", "phi3",
    "smollm3", "granite", "cohere", "stablelm", "qwen3_moe", "mixtral", "olmoe", "granitemoe", "gpt_oss",
), ("model.layers", "self_attn", "o_proj")) | {
    "gpt2": ("transformer.h", "attn", "c_proj"),
    "gpt_neo": ("transformer.h", "attn.attention", "out_proj"),
    "gptj": ("transformer.h", "attn", "out_proj"),
    "bloom": ("transformer.h", "self_attention", "dense"),
    "falcon": ("transformer.h", "self_attention", "dense"),
    "gpt_neox": ("gpt_neox.layers", "attention", "dense"),
    "opt": ("model.decoder.layers", "self_attn", "out_proj"),
}  # fmt: skip
LOWEST = torch.finfo(torch.float32).min


class AlibiOnce(FalconAttention):
    """Falcon's attention with ALiBi as it was trained and as transformers computes it by default, through sdpa. The
    attention mask already holds ALiBi, and transformers' eager code adds it a second time: here that code is told of no
    ALiBi, and of a rotation by nothing."""

    def forward(self, hidden_states, alibi, attention_mask, position_embeddings=None, **kwargs):
        cos, sin = position_embeddings
        unrotated = torch.ones_like(cos), torch.zeros_like(sin)
        return super().forward(hidden_states, None, attention_mask, position_embeddings=unrotated, **kwargs)


def as_trained(model):
    """The model, whose eager attention is what it was trained with: Falcon's ALiBi aside it always is. Of its experts too
    the eager code is taken, which has each row of each expert by itself."""
    if model._can_set_experts_implementation():
        model.set_experts_implementation("eager")
    if model.config.model_type == "falcon" and model.config.alibi:
        for module in model.modules():
            if isinstance(module, FalconAttention):
                module.__class__ = AlibiOnce
    return model


class NearestExperts:
    """By how much, as a share of the largest logit of a router, the last expert chosen led the first one that was not."""

    def __init__(self, model):
        self.lead = math.inf
        for module in model.modules():
            if type(module).__name__.endswith("TopKRouter"):
                module.register_forward_hook(self.routed)

    def routed(self, router, _, out):
        logits = out[0]
        last, next_ = logits.topk(router.top_k + 1).values[:, -2:].unbind(1)
        self.lead = min(self.lead, float((last - next_).min() / logits.abs().max()))


class Masked:
    """A model whose attention can be told to hide columns."""

    def __init__(self, model):
        self.model, self.mask = as_trained(model).eval(), None
        layers, attention, projection = PLACES[model.config.model_type]
        self.layers = list(model.get_submodule(layers))
        self.attentions = [layer.get_submodule(attention) for layer in self.layers]
        self.projections = [module.get_submodule(projection) for module in self.attentions]
        self.n_layers = len(self.layers)
        in_modules = {"gpt_neo": ("_attn", self._gpt_neo), "gptj": ("_attn", self._gptj),
                      "bloom": ("forward", self._bloom), "falcon": ("forward", self._falcon)}  # fmt: skip
        self.method, ours = in_modules.get(model.config.model_type, (None, None))
        if ours:
            self.own = [ours(i, module) for i, module in enumerate(self.attentions)]
        else:
            self.own = None
            self.family_attention = sys.modules[type(model).__module__].eager_attention_forward
            AttentionInterface.register("icl_mask_goldens", self._registered)
            AttentionMaskInterface.register("icl_mask_goldens", eager_mask)
        self.experts = NearestExperts(model)
        self.patch()

    def patch(self, on=True):
        self.mask = None
        if self.own is None:
            self.model.set_attn_implementation("icl_mask_goldens" if on else "eager")
            return
        for module, own in zip(self.attentions, self.own):
            module.__dict__.pop(self.method, None)
            if on:
                module.__dict__[self.method] = own

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

    def _attend(self, scores, value, may_read, sinks=None):
        """scores [heads, rows, columns], value [heads, columns, width] -> output [heads, rows, width], weights."""
        visible = self.mask.visible(may_read)
        scores = scores.masked_fill(~visible, float("-inf"))
        if sinks is None:
            weights = scores.softmax(dim=-1)
        else:
            scores = torch.cat([scores, sinks[:, None, None].expand(*scores.shape[:-1], 1)], dim=-1)
            weights = (scores - scores.amax(dim=-1, keepdim=True)).softmax(dim=-1)[..., :-1]
        # A row with nothing to read is a softmax over nothing (NaN): its output is defined as zero.
        weights = weights.masked_fill(~visible.any(dim=-1)[:, None], 0.0)
        return weights @ value, weights

    def _noisy(self, *states):
        return (with_noise(s, self.mask.hidden) for s in states) if self.mask.noise else states

    def _registered(self, module, query, key, value, attention_mask, scaling, softcap=None, s_aux=None, **kwargs):
        if not self._is_masked(module.layer_idx):
            more = {"scaling": scaling, "softcap": softcap, "s_aux": s_aux} | kwargs
            return self.family_attention(module, query, key, value, attention_mask, **more)
        key, value = self._noisy(key, value)
        groups = getattr(module, "num_key_value_groups", 1)
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
        scores = (query @ key.transpose(2, 3)) * scaling
        if softcap is not None:
            scores = (scores / softcap).tanh() * softcap
        output, weights = self._attend(scores, value, attention_mask[0, 0] == 0, s_aux)
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

    def _gptj(self, layer, module):
        unpatched = type(module)._attn

        def attn(query, key, value, attention_mask=None):
            if not self._is_masked(layer):
                return unpatched(module, query, key, value, attention_mask)
            key, value = self._noisy(key, value)
            scores = query @ key.transpose(-1, -2) / module.scale_attn
            return self._attend(scores, value, attention_mask[0, 0] == 0)

        return attn

    def _falcon(self, layer, module):
        unpatched = type(module).forward

        def forward(hidden_states, alibi, attention_mask, position_embeddings=None, **kwargs):
            if not self._is_masked(layer):
                more = {"position_embeddings": position_embeddings} | kwargs
                return unpatched(module, hidden_states, alibi, attention_mask, **more)
            split = module._split_heads(module.query_key_value(hidden_states))
            query, key, value = (x.transpose(1, 2) for x in split)
            if alibi is None:
                query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
            key, value = self._noisy(key, value)
            # ALiBi is in the attention mask.
            scores = query @ key.transpose(-1, -2) / math.sqrt(module.head_dim) + attention_mask
            output, weights = self._attend(scores, value, attention_mask[0, 0] > LOWEST / 2)
            return module.dense(output.transpose(1, 2).flatten(2)), weights

        return forward

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
            return args, kwargs | {"attention_mask": kwargs["attention_mask"].masked_fill(hidden, LOWEST)}

        modules = self.attentions[mask.from_layer :]
        hooks = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
        logits = self.whole(ids)
        for hook in hooks:
            hook.remove()
        self.patch()
        return logits


def alibi_by_default(masked, ids):
    """The logits of transformers' own default attention, sdpa; None for models without this ALiBi."""
    if not isinstance(masked.attentions[0], AlibiOnce):
        return None
    for module in masked.attentions:
        module.__class__ = FalconAttention
    masked.model.config._attn_implementation = "sdpa"
    logits = masked.whole(ids)
    masked.model.config._attn_implementation = "eager"
    as_trained(masked.model)
    return logits


def check_the_check(masked, ids, segments):
    """(what must hold, whether it does) for the patches above, on one prompt."""
    n, mid, n_layers = len(ids), masked.n_layers // 2, masked.n_layers
    masked.patch(on=False)
    plain = masked.whole(ids)
    answer = masked.model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, n), max_new_tokens=8, do_sample=False, repetition_penalty=1.0
    )[0, n:].tolist()
    by_default = alibi_by_default(masked, ids)
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
        ("ALiBi is that of transformers' default attention",
            by_default is None or (by_default - plain).abs().max() < 1e-5 * plain.abs().max()),
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
            [int(masked.whole(full[: n + step])[-1].argmax()) for step in range(len(answer))] == answer),
    ]  # fmt: skip
