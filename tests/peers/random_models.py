"""Models of drawn sizes: head counts, head dimensions, windows and experts that no model of family_models.py has.

Each is a model of family_models.py with its sizes drawn anew by a seeded generator: the family's parts stay, the numbers do
not. families.py compares them with transformers (`--random 20`).
"""

import random

from family_models import longrope, models, plain_rope

# Keys of a configuration that follow from others, which are drawn: left out, they are made anew.
FOLLOWING = ("layer_types", "no_rope_layers", "attention_layers", "mlp_only_layers", "num_key_value_heads", "pad_token_id")
# Families whose heads do not share keys and values.
WITHOUT_GROUPS = ("gpt2", "gpt_neo", "gpt_neox", "bloom", "gptj", "opt")
# Families whose heads have a width of their own.
OWN_WIDTH = ("llama", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "mistral", "ministral", "mixtral", "gpt_oss")


def random_models(count, seed, vocab):
    """Name, configuration, rules for the weights."""
    draw = random.Random(seed)
    usable = [(name, model) for name, model, *_ in models() if name not in ("starcoder2-short", "gemma3-short")]
    draw.shuffle(usable)
    for number in range(count):
        name, (config, rules) = usable[number % len(usable)]
        yield f"random {number + 1:02} ({name})", type(config)(**drawn_sizes(config, draw, vocab)), rules


def drawn_sizes(config, draw, vocab):
    kind, old = config.model_type, config.to_dict()
    new = {key: value for key, value in old.items() if key not in FOLLOWING and not key.startswith("_")}
    new.pop("model_type")
    layers, inner = draw.randint(2, 5), draw.randrange(24, 160, 4)
    while True:
        kv_heads, group = draw.randint(1, 4), 1 if kind in WITHOUT_GROUPS else draw.randint(1, 4)
        heads = kv_heads * group
        # A rotated share of a head, a quarter in GPT-NeoX, must be an even number of dimensions.
        head_dim = draw.choice([8, 16, 24, 32, 40] if kind == "gpt_neox" else [8, 12, 16, 20, 24, 32, 36, 40])
        hidden = heads * (draw.choice([6, 10, 14, 22]) if kind in OWN_WIDTH else head_dim)
        # Narrower models say the same few tokens again and again.
        if hidden >= 40:
            break
    new |= {"vocab_size": vocab, "pad_token_id": None}
    new |= {key: max(old[key], 512) for key in ("max_position_embeddings", "n_positions") if key in old}
    names = {"num_hidden_layers": layers, "n_layer": layers, "num_layers": layers, "hidden_size": hidden, "n_embd": hidden,
             "num_attention_heads": heads, "n_head": heads, "num_heads": heads, "intermediate_size": inner, "ffn_dim": inner,
             "ffn_hidden_size": inner, "moe_intermediate_size": draw.randrange(12, 60, 4), "head_dim": head_dim}  # fmt: skip
    new |= {key: value for key, value in names.items() if key in old and old[key] is not None}
    if kind in OWN_WIDTH:
        new["head_dim"] = head_dim
    elif "head_dim" in new:
        new.pop("head_dim")
    if "num_key_value_heads" in old:
        new["num_key_value_heads"] = kv_heads
    if kind == "falcon":
        new["num_kv_heads"] = kv_heads if config.new_decoder_architecture else heads
    if kind == "gpt_neo":
        new["attention_types"] = [[["local"], layers]] if layers % 2 else [[["global", "local"], layers // 2]]
        new["window_size"] = draw.randint(4, 40)
    if kind == "gptj":
        new["rotary_dim"] = draw.randrange(2, head_dim + 1, 2)
    if kind == "opt" and config.word_embed_proj_dim != config.hidden_size:
        new["word_embed_proj_dim"] = draw.randrange(8, 80, 4)
    elif kind == "opt":
        new["word_embed_proj_dim"] = hidden
    if old.get("sliding_window") is not None:
        new["sliding_window"] = draw.randint(3, 60)
    experts = draw.randint(3, 12)
    for key in ("num_local_experts", "num_experts"):
        if old.get(key) is not None:
            new[key] = experts
    if old.get("num_experts_per_tok") is not None:
        new["num_experts_per_tok"] = draw.randint(1, min(4, experts - 1))
    if (old.get("rope_parameters") or {}).get("rope_type") == "longrope":
        share = old["rope_parameters"]["partial_rotary_factor"]
        original = old["rope_parameters"]["original_max_position_embeddings"]
        new["rope_parameters"] = longrope(int(head_dim * share) // 2, original, partial_rotary_factor=share)
    elif kind == "stablelm":
        new["rope_parameters"] = plain_rope(10000.0, partial_rotary_factor=0.5)
    return new
