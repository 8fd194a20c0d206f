"""The two loops over layers that icl-mask is timed against, both on Hugging Face transformers in torch's default type and on
its default device, and the speed of torch's matrix products. Used by bench.py and bench_gpu.py.

`Study` does what the study's code does: whole prompts in batches of 4, padded on the left, eager attention, one pass
per start layer. `Tuned` is what somebody careful would make of it: the prompts' common context is computed once and
kept for all batches and layers, only the query rows are prefilled, keys and values live in buffers made once, and
masked layers do not even read the hidden columns.

Both know the mask TTF only: the hidden columns begin the prompt, so that a hidden row is read by nobody.
"""

import time

import torch
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers import __version__ as transformers_version
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import eager_mask

from parity import NEAR_TIE, Mask, MaskedModel
from prompts import Source

KERNELS = ("sdpa", "split")


def common_prefix(prompts):
    """How many first tokens all prompts share and TTF hides in all of them."""
    first, *others = (p["tokens"][: p["hidden"]] for p in prompts)
    n = 0
    while n < len(first) and all(len(o) > n and o[n] == first[n] for o in others):
        n += 1
    return n


def bias(readable):
    """[batch, rows, columns], True where a row may read -> what is added to the scores, [batch, 1, rows, columns]."""
    shut = torch.finfo(torch.get_default_dtype()).min
    return torch.zeros(readable.shape).masked_fill(~readable, shut)[:, None]


class Padded:
    """Rows of several prompts from token `start` on, padded on the left, and who may read what of their own columns."""

    def __init__(self, prompts, start, new_tokens):
        rows = max(len(p["tokens"]) for p in prompts) - start
        self.rows = rows
        self.ids = torch.zeros(len(prompts), rows, dtype=torch.long)
        real = torch.ones(len(prompts), rows + new_tokens, dtype=torch.bool)
        hidden = torch.zeros(len(prompts), rows + new_tokens, dtype=torch.bool)
        for i, prompt in enumerate(prompts):
            pad = rows - (len(prompt["tokens"]) - start)
            self.ids[i, pad:] = torch.tensor(prompt["tokens"][start:])
            real[i, :pad] = False
            hidden[i, pad : pad + prompt["hidden"] - start] = True
        self.positions = start + (real[:, :rows].cumsum(1) - 1).clamp(min=0)
        # The position of the first new token.
        self.next = start + real[:, :rows].sum(1, keepdim=True)
        causal, own = torch.ones(rows, rows, dtype=torch.bool).tril(), torch.eye(rows, dtype=torch.bool)
        self.prefill, self.decode = [], []
        for shown in (real, real & ~hidden):
            # Rows that nobody reads read themselves: a row without any column would become NaN and spread.
            unread = ~shown[:, :rows, None]
            self.prefill.append(bias(causal & shown[:, None, :rows] & ~unread | own & unread))
            self.decode.append(bias(shown[:, None]))


def greedy(model, padded, cache, new_tokens, show):
    """show(step) tells the attention which columns may be read. -> tokens [batch, new_tokens]"""
    ids, positions, tokens = padded.ids, padded.positions, []
    for step in range(new_tokens):
        mask = show(step)
        logits = model(ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
                       logits_to_keep=1).logits  # fmt: skip
        ids = logits[:, -1].argmax(-1, keepdim=True)
        tokens.append(ids)
        positions = padded.next + step
    return torch.cat(tokens, dim=1).tolist()


class Study:
    """The loop of the study's code."""

    BATCH = 4

    def __init__(self, masked_model):
        self.model, self.family_attention = masked_model.model, masked_model.family_attention
        self.from_layer, self.masked = None, None
        AttentionInterface.register("icl_mask_study", self._attention)
        AttentionMaskInterface.register("icl_mask_study", eager_mask)

    def _attention(self, module, query, key, value, attention_mask, scaling, **kwargs):
        if module.layer_idx >= self.from_layer:
            attention_mask = self.masked
        return self.family_attention(module, query, key, value, attention_mask, scaling, **kwargs)

    def cell(self, prompts, from_layer, new_tokens):
        """-> seconds, tokens of each prompt"""
        self.model.set_attn_implementation("icl_mask_study")
        self.from_layer = from_layer
        begun, tokens = time.perf_counter(), []
        for i in range(0, len(prompts), self.BATCH):
            tokens += self._batch(prompts[i : i + self.BATCH], new_tokens)
        return time.perf_counter() - begun, tokens

    def _batch(self, prompts, new_tokens):
        padded = Padded(prompts, 0, new_tokens)

        def show(step):
            plain, masked = padded.decode if step else padded.prefill
            columns = padded.rows + step
            self.masked = masked[..., :columns]
            return plain[..., :columns]

        return greedy(self.model, padded, DynamicCache(), new_tokens, show)


class Buffers(Cache):
    """Keys and values of a batch behind a context that all of its sequences share; made once, used for every cell.

    Kernel `sdpa` holds the context's once a sequence, in front of the sequence's own, for one call of torch's fused
    attention; kernel `split` holds them once and multiplies all sequences' queries with them in one product.
    """

    def __init__(self, context, kernel, batch, own_columns):
        super().__init__(layers=[])
        self.context, self.kernel, self.batch = context, kernel, batch
        self.n_context = context[0][0].shape[2]
        self.start = self.n_context if kernel == "sdpa" else 0
        self.states = []
        for pair in context:
            buffers = [torch.zeros(batch, x.shape[1], self.start + own_columns, x.shape[3]) for x in pair]
            for buffer, x in zip(buffers, pair):
                buffer[:, :, : self.start] = x[:, :, : self.start]
            self.states.append(buffers)
        # [kv heads, width, columns] and [kv heads, columns, width]
        self.shared = [(k[0].transpose(1, 2).contiguous(), v[0].contiguous()) for k, v in context]

    def begin(self, from_layer):
        self.from_layer, self.filled = from_layer, 0

    def update(self, key, value, layer, *args, **kwargs):
        n, rows = key.shape[0], key.shape[2]
        first = self.start + self.filled
        from_column = self.start if layer >= self.from_layer else 0
        read = []
        for buffer, x in zip(self.states[layer], (key, value)):
            buffer[:n, :, first : first + rows] = x
            read.append(buffer[:n, :, from_column : first + rows])
        return read


class Tuned:
    """The loop as somebody careful would write it."""

    def __init__(self, masked_model):
        self.model = masked_model.model
        self.from_layer, self.masks, self.buffers, self.made = None, None, None, {}
        AttentionInterface.register("icl_mask_tuned", self._attention)
        AttentionMaskInterface.register("icl_mask_tuned", eager_mask)

    def prepare(self, prompts):
        """The common context's keys and values -> seconds"""
        self.model.set_attn_implementation("sdpa")
        n, cache = common_prefix(prompts), DynamicCache()
        begun = time.perf_counter()
        self.model.model(torch.tensor([prompts[0]["tokens"][:n]]), past_key_values=cache, use_cache=True)
        self.context = [(layer.keys, layer.values) for layer in cache.layers]
        self.n_context, self.made = n, {}
        return time.perf_counter() - begun

    def cell(self, prompts, from_layer, new_tokens, batch, kernel):
        """-> seconds, tokens of each prompt"""
        self.model.set_attn_implementation("icl_mask_tuned")
        self.from_layer = from_layer
        longest = max(len(p["tokens"]) for p in prompts) - self.n_context
        buffers = self._buffers(kernel, min(batch, len(prompts)), longest + new_tokens)
        # Queries of one length together, so that little is padded.
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]["tokens"]))
        begun, tokens = time.perf_counter(), {}
        for i in range(0, len(order), batch):
            some = order[i : i + batch]
            tokens.update(zip(some, self._batch([prompts[j] for j in some], new_tokens, buffers)))
        return time.perf_counter() - begun, [tokens[i] for i in range(len(prompts))]

    def _buffers(self, kernel, batch, own_columns):
        wanted = (kernel, batch, own_columns)
        if wanted not in self.made:
            # One set at a time of a kernel and size: they are large.
            self.made = {w: b for w, b in self.made.items() if w[:2] != wanted[:2]}
            self.made[wanted] = Buffers(self.context, *wanted)
        return self.made[wanted]

    def _batch(self, prompts, new_tokens, buffers):
        padded = Padded(prompts, self.n_context, new_tokens)
        config = self.model.config
        groups = config.num_attention_heads // config.num_key_value_heads
        # Query heads that share a key are stacked as rows, so that keys need not be repeated.
        prefill = [mask.repeat(1, 1, groups, 1) for mask in padded.prefill]
        visible = [torch.zeros(*mask.shape[:3], buffers.start) for mask in (prefill[0], padded.decode[0])]
        whole = [torch.cat([v, m], dim=3) for v, m in zip(visible, (prefill[0], padded.decode[0]))]
        self.buffers = buffers
        buffers.begin(self.from_layer)

        def show(step):
            own = padded.rows + step
            buffers.filled = own - 1 if step else 0
            if step:
                self.masks = (whole[1][..., : buffers.start + own], padded.decode[1][..., :own])
            else:
                self.masks = (whole[0], prefill[1])
            return self.masks[0]

        return greedy(self.model, padded, buffers, new_tokens, show)

    def _attention(self, module, query, key, value, attention_mask, scaling, **kwargs):
        n, heads, rows, width = query.shape
        packed = query.reshape(n, key.shape[1], -1, width)
        if module.layer_idx >= self.from_layer:
            out = scaled_dot_product_attention(packed, key, value, attn_mask=self.masks[1], scale=scaling)
        elif self.buffers.kernel == "sdpa":
            out = scaled_dot_product_attention(packed, key, value, attn_mask=self.masks[0], scale=scaling)
        else:
            out = self._split(module.layer_idx, packed * scaling, key, value)
        return out.reshape(n, heads, rows, width).transpose(1, 2), None

    def _split(self, layer, query, key, value):
        shared_key, shared_value = self.buffers.shared[layer]
        n, kv_heads, rows, width = query.shape
        together = query.transpose(0, 1).reshape(kv_heads, n * rows, width)
        own = (query @ key.transpose(2, 3)).add_(self.masks[0])
        own = own.transpose(0, 1).reshape(kv_heads, n * rows, -1)
        weights = torch.cat([together @ shared_key, own], dim=2).softmax(dim=2)
        context = weights[..., : shared_key.shape[2]] @ shared_value
        own = weights[..., shared_key.shape[2] :].view(kv_heads, n, rows, -1).transpose(0, 1) @ value
        return context.view(kv_heads, n, rows, width).transpose(0, 1) + own


class Judge:
    """Where two generations part, is it a near-tie? Asked of parity.py's model, by one plain pass over one prompt."""

    def __init__(self, masked_model):
        self.masked_model = masked_model

    def compare(self, prompt, from_layer, ours, theirs, whole):
        """whole: ours must be as long as theirs -> None where they agree, else what differs and by how much"""
        if whole and len(ours) != len(theirs):
            return {"at": min(len(ours), len(theirs)), "gap": float("inf"), "near_tie": False}
        for i, (a, b) in enumerate(zip(ours, theirs)):
            if a != b:
                self.masked_model.patch()
                mask = Mask(from_layer, set(range(prompt["hidden"])))
                logits = self.masked_model.whole(prompt["tokens"] + ours[:i], mask)[-1]
                gap = float(logits.max() - min(logits[a], logits[b]))
                return {"at": i, "ours": a, "theirs": b, "gap": gap, "near_tie": gap < NEAR_TIE}
        return None


def weight_shapes(config):
    """{name: (inputs, outputs)} of the model's matrices"""
    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    width = getattr(config, "head_dim", None) or hidden // heads
    return {
        "q": (hidden, heads * width),
        "k, v": (hidden, config.num_key_value_heads * width),
        "o": (heads * width, hidden),
        "gate, up": (hidden, inner),
        "down": (inner, hidden),
        "vocabulary": (hidden, config.vocab_size),
    }


def product_speed(rows, inputs, outputs, seconds=0.15):
    """GFLOP/s of the fastest of several products"""
    x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    linear(x, weight)
    best, begun, times = float("inf"), time.perf_counter(), 0
    while times < 3 or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        linear(x, weight)
        best, times = min(best, time.perf_counter() - start), times + 1
    return 2 * rows * inputs * outputs / best / 1e9


def products(config, rows):
    speeds = {
        name: [product_speed(r, *shape) for r in rows] for name, shape in weight_shapes(config).items()
    }
    return speeds, {n: product_speed(n, n, n) for n in (1024, 2048, 4096)}


def load(path):
    """-> parity.py's model and its loading time"""
    begun = time.perf_counter()
    return MaskedModel(Source.open(path)), time.perf_counter() - begun
