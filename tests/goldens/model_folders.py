"""Model folders of make_model_files.py of the families that came later: what transformers makes of keys that are absent, that
stand in two places, or that it does not read."""


def more_folders(Folder, sizes, llama):
    own = {"head": ("lm_head.weight", "own")}
    tied = {"tie_word_embeddings": True}
    rms = {key: value for key, value in llama.items() if key != "model_type"}
    plain = {"rope_type": "default", "rope_theta": 10000.0}

    """YaRN, dynamic NTK and longrope, of any family with rotary positions."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
    of_llama = lambda name, rope, **more: Folder(f"llama-{name}", llama | {"rope_scaling": rope}, **more, **own)
    yield of_llama("yarn", yarn, like="llama-scaling-beside-yarn")
    yield of_llama("yarn-attention-factor", yarn | {"attention_factor": 1.0}, unlike="llama-yarn")
    yield of_llama("yarn-attention-factor-again", yarn | {"attention_factor": 1.138629436111989}, like="llama-yarn")
    # Both of these, or neither.
    yield of_llama("yarn-mscale", yarn | {"mscale": 1.0, "mscale_all_dim": 1.0}, like="llama-yarn-attention-factor")
    yield of_llama("yarn-mscale-alone", yarn | {"mscale": 2.0}, like="llama-yarn")
    of_many = lambda name, rope, **more: Folder(f"llama-yarn-{name}", llama | {"head_dim": 32, "rope_scaling": rope}, **more,
                                                **own)  # fmt: skip
    yield of_many("of-32", yarn)
    yield of_many("untruncated", yarn | {"truncate": False}, unlike="llama-yarn-of-32")
    yield of_many("betas", yarn | {"beta_fast": 4.0, "beta_slow": 0.125}, unlike="llama-yarn-of-32")
    yield of_many("silent-original", {"type": "yarn", "factor": 4.0}, unlike="llama-yarn-of-32")
    # Within the context it changes nothing.
    yield of_llama("dynamic", {"type": "dynamic", "factor": 4.0}, like="llama")
    factors = {"short_factor": [1.5, 2.0], "long_factor": [4.0, 9.0]}
    wide = llama | {"head_dim": 4}
    of_wide = lambda name, rope, **more: Folder(f"llama-longrope-{name}", wide | {"rope_scaling": rope}, **more, **own)
    yield of_wide("short", {"type": "longrope", "original_max_position_embeddings": 100} | factors, unlike="llama")
    yield of_wide("long", {"type": "longrope", "original_max_position_embeddings": 32} | factors, unlike="llama-longrope-short")
    yield of_wide("factor", {"type": "longrope", "original_max_position_embeddings": 32, "factor": 40.0} | factors,
                  unlike="llama-longrope-long")  # fmt: skip

    """Windows, head sizes and bases that are not written."""
    mistral = rms | {"model_type": "mistral"}
    yield Folder("mistral", mistral, **own)
    yield Folder("mistral-null-window", mistral | {"sliding_window": None}, like="mistral", **own)
    yield Folder("mistral-window", mistral | {"sliding_window": 5}, unlike="mistral", **own)
    ministral = rms | {"model_type": "ministral", "head_dim": 4, "sliding_window": 5}
    yield Folder("ministral", ministral, **own)
    yield Folder("ministral-layer-types", ministral | {"layer_types": ["full_attention", "sliding_attention"]},
                 unlike="ministral", **own)  # fmt: skip
    # To transformers a mistral with layer_types is a ministral.
    yield Folder("mistral-layer-types", ministral | {"model_type": "mistral", "layer_types": ["full_attention", "sliding_attention"]},
                 layers=ministral, like="ministral-layer-types", **own)  # fmt: skip
    # Its heads are then of 128.
    yield Folder("qwen3-silent-head-dim", rms | {"model_type": "qwen3"}, **own)
    yield Folder("qwen3-window-is-off", rms | {"model_type": "qwen3", "sliding_window": 5, "max_window_layers": 0},
                 like="qwen3-silent-head-dim", **own)  # fmt: skip
    smollm3 = rms | {"model_type": "smollm3"} | tied
    yield Folder("smollm3-silent-base", smollm3)
    yield Folder("smollm3-base", smollm3 | {"rope_theta": 2000000.0}, like="smollm3-silent-base")
    yield Folder("smollm3-no-positions", smollm3 | {"no_rope_layers": [0, 1]}, unlike="smollm3-silent-base")
    yield Folder("smollm3-interval", smollm3 | {"no_rope_layer_interval": 2}, unlike="smollm3-no-positions")
    yield Folder("smollm3-list-wins", smollm3 | {"no_rope_layer_interval": 2, "no_rope_layers": [0, 1, 1]},
                 like="smollm3-no-positions")  # fmt: skip
    # Windows are on the layers without positions.
    yield Folder("smollm3-window", smollm3 | {"no_rope_layer_interval": 2, "use_sliding_window": True, "sliding_window": 5},
                 unlike="smollm3-interval")  # fmt: skip

    """Gemma 2 and OLMo."""
    gemma2 = sizes | {"model_type": "gemma2", "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
                      "rms_norm_eps": 0.01, "sliding_window": 6, "query_pre_attn_scalar": 8}  # fmt: skip
    yield Folder("gemma2", gemma2)
    yield Folder("gemma2-other-act-is-ignored", gemma2 | {"hidden_act": "relu", "sliding_window_pattern": 1}, like="gemma2")
    yield Folder("gemma2-layer-types", gemma2 | {"layer_types": ["sliding_attention", "full_attention"]}, like="gemma2")
    yield Folder("gemma2-without-caps", gemma2 | {"attn_logit_softcapping": None, "final_logit_softcapping": None,
                 "query_pre_attn_scalar": 1}, unlike="gemma2")  # fmt: skip
    yield Folder("gemma2-caps", gemma2 | {"attn_logit_softcapping": 0.5, "query_pre_attn_scalar": 1},
                 unlike="gemma2-without-caps")  # fmt: skip
    olmo2 = rms | {"model_type": "olmo2"}
    yield Folder("olmo2", olmo2, **own)
    yield Folder("olmo2-head-dim", olmo2 | {"head_dim": 6}, unlike="olmo2", **own)
    olmo3 = rms | {"model_type": "olmo3", "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}
    both = lambda windowed, full: {"rope_parameters": {"sliding_attention": windowed, "full_attention": full}}
    yield Folder("olmo3", olmo3, **own)
    yield Folder("olmo3-bases", olmo3 | both(plain | {"rope_theta": 500000.0}, plain | {"rope_theta": 500000.0}), like="olmo3",
                 **own)  # fmt: skip
    # The base that is written is not that of the layers with windows.
    yield Folder("olmo3-old-base", olmo3 | {"rope_theta": 50.0}, unlike="olmo3", **own)
    yield Folder("olmo3-old-base-of-full", olmo3 | both(plain | {"rope_theta": 500000.0}, plain | {"rope_theta": 50.0}),
                 like="olmo3-old-base", **own)  # fmt: skip
    yield Folder("olmo3-scaling", olmo3 | {"rope_scaling": yarn, "rope_theta": 500000.0}, unlike="olmo3", **own)
    yield Folder("olmo3-old-type-is-ignored", olmo3 | {"rope_scaling": {"type": "yarn", "factor": 4.0}}, like="olmo3", **own)
    yield Folder("olmo3-truncate-is-ignored", olmo3 | {"rope_scaling": yarn | {"truncate": False}}, like="olmo3-scaling", **own)

    """Phi-3: the original context is that outside the parameters."""
    phi3 = rms | {"model_type": "phi3"}
    longrope = {"rope_scaling": {"type": "longrope"} | factors}
    yield Folder("phi3", phi3, **own)
    yield Folder("phi3-longrope", phi3 | longrope | {"original_max_position_embeddings": 16}, unlike="phi3", **own)
    yield Folder("phi3-yarn-is-longrope", phi3 | {"rope_scaling": {"type": "yarn"} | factors,
                 "original_max_position_embeddings": 16}, like="phi3-longrope", **own)  # fmt: skip
    yield Folder("phi3-silent-original", phi3 | longrope, unlike="phi3-longrope", **own)
    yield Folder("phi3-original-inside-is-ignored", phi3 | {"rope_scaling": longrope["rope_scaling"] | {
                 "original_max_position_embeddings": 16}}, like="phi3-silent-original", **own)  # fmt: skip
    yield Folder("phi3-partial", phi3 | {"partial_rotary_factor": 0.5}, unlike="phi3", **own)
    yield Folder("phi3-window", phi3 | {"sliding_window": 5}, unlike="phi3", **own)
    yield Folder("phi3-linear", phi3 | {"rope_scaling": {"type": "linear", "factor": 4.0}}, layers=phi3,
                 refused=["phi3", "linear"], **own)  # fmt: skip
    yield from odd_folders(Folder, sizes, own, tied, rms, plain)


def odd_folders(Folder, sizes, own, tied, rms, plain):
    """GPT-J and OPT."""
    vocab = {key: sizes[key] for key in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")}
    gptj = vocab | {"model_type": "gptj", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128, "rotary_dim": 4,
                    "layer_norm_epsilon": 0.01}  # fmt: skip
    yield Folder("gptj", gptj, **own)
    yield Folder("gptj-rotary-is-ignored", gptj | {"rotary": False, "rope_theta": 50.0, "scale_attn_weights": False}, like="gptj",
                 **own)  # fmt: skip
    yield Folder("gptj-aliases", gptj | {"n_head": 4, "num_attention_heads": 2, "n_layer": 28, "num_hidden_layers": 2,
                 "hidden_size": 16, "n_embd": 32}, layers=gptj, like="gptj", **own)  # fmt: skip
    yield Folder("gptj-tied", gptj | tied)
    opt = vocab | {"model_type": "opt", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 24,
                   "max_position_embeddings": 128}  # fmt: skip
    yield Folder("opt", opt)
    yield Folder("opt-null-projection", opt | {"word_embed_proj_dim": None}, like="opt")
    yield Folder("opt-projected", opt | {"word_embed_proj_dim": 8})
    yield Folder("opt-norm-after", opt | {"do_layer_norm_before": False}, unlike="opt")
    yield Folder("opt-without-last-norm", opt | {"_remove_final_layer_norm": True}, unlike="opt")
    yield Folder("opt-without-biases", opt | {"enable_bias": False}, unlike="opt")
    sharp = {"scaled": {f"model.decoder.layers.{layer}.fc2.weight": 30 for layer in range(2)}}
    yield Folder("opt-sharp", opt, **sharp)
    yield Folder("opt-sharp-gelu", opt | {"activation_function": "gelu"}, unlike="opt-sharp", **sharp)

    """Granite, Falcon, Cohere and StableLM: factors and kinds that are not written."""
    granite = rms | {"model_type": "granite"}
    ones = {"embedding_multiplier": 1.0, "attention_multiplier": 1.0, "residual_multiplier": 1.0, "logits_scaling": 1.0}
    yield Folder("granite-silent", granite, **own)
    yield Folder("granite-ones", granite | ones, like="granite-silent", **own)
    yield Folder("granite-attention", granite | {"attention_multiplier": 0.5}, unlike="granite-silent", **own)
    yield Folder("granite-biases", granite | {"attention_bias": True, "mlp_bias": True}, unlike="granite-silent", **own)
    falcon = vocab | {"model_type": "falcon", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
                      "layer_norm_epsilon": 0.01}  # fmt: skip
    yield Folder("falcon", falcon)
    yield Folder("falcon-other-kv-heads-are-ignored", falcon | {"num_kv_heads": 2}, like="falcon")
    yield Folder("falcon-old-names-are-ignored", falcon | {"n_layer": 1, "n_head": 2}, layers=falcon, like="falcon")
    yield Folder("falcon-old-width", falcon | {"hidden_size": 32, "n_embed": 16}, layers=falcon, like="falcon")
    yield Folder("falcon-several-heads", falcon | {"multi_query": False}, unlike="falcon")
    yield Folder("falcon-serial", falcon | {"parallel_attn": False}, unlike="falcon")
    yield Folder("falcon-two-norms", falcon | {"num_ln_in_parallel_attn": 2}, refused=["num_ln_in_parallel_attn"])
    new = falcon | {"new_decoder_architecture": True, "num_kv_heads": 2}
    yield Folder("falcon-new", new, unlike="falcon")
    yield Folder("falcon-new-one-norm", new | {"num_ln_in_parallel_attn": 1}, unlike="falcon-new")
    yield Folder("falcon-alibi", falcon | {"alibi": True}, unlike="falcon")
    norm = {key: value for key, value in rms.items() if key != "rms_norm_eps"} | {"layer_norm_eps": 0.01}
    cohere = norm | {"model_type": "cohere"} | tied
    yield Folder("cohere-silent", cohere)
    yield Folder("cohere-scale", cohere | {"logit_scale": 0.0625, "rope_theta": 500000.0}, like="cohere-silent")
    yield Folder("cohere-norms", cohere | {"use_qk_norm": True}, unlike="cohere-silent")
    stablelm = norm | {"model_type": "stablelm", "num_attention_heads": 2, "num_key_value_heads": 1}
    yield Folder("stablelm-silent", stablelm, **own)
    yield Folder("stablelm-quarter", stablelm | {"partial_rotary_factor": 0.25}, like="stablelm-silent", **own)
    yield Folder("stablelm-half", stablelm | {"partial_rotary_factor": 0.5}, unlike="stablelm-silent", **own)
    yield Folder("stablelm-half-inside", stablelm | {"partial_rotary_factor": 0.25, "rope_parameters": plain | {
                 "partial_rotary_factor": 0.5}}, like="stablelm-half", **own)  # fmt: skip
    yield Folder("stablelm-parallel", stablelm | {"use_parallel_residual": True}, unlike="stablelm-silent", **own)
    yield Folder("stablelm-head-dim-is-ignored", stablelm | {"head_dim": None}, like="stablelm-silent", **own)

    """Experts."""
    three = {"num_experts": 3, "num_experts_per_tok": 2}
    qwen3_moe = rms | {"model_type": "qwen3_moe", "moe_intermediate_size": 6} | three
    yield Folder("qwen3-moe", qwen3_moe, **own)
    yield Folder("qwen3-moe-local", qwen3_moe | {"num_local_experts": 3}, without=["num_experts"], like="qwen3-moe", **own)
    sharp = {"scaled": {f"model.layers.{layer}.mlp.experts.{expert}.down_proj.weight": 5 for layer in range(2)
                        for expert in range(6)}}  # fmt: skip
    yield Folder("qwen3-moe-sharp", qwen3_moe | {"num_experts": 6}, **sharp, **own)
    yield Folder("qwen3-moe-sharp-normed", qwen3_moe | {"num_experts": 6, "norm_topk_prob": True}, unlike="qwen3-moe-sharp",
                 **sharp, **own)  # fmt: skip
    yield Folder("qwen3-moe-every-second", qwen3_moe | {"decoder_sparse_step": 2}, unlike="qwen3-moe", **own)
    yield Folder("qwen3-moe-dense-second", qwen3_moe | {"mlp_only_layers": [1]}, unlike="qwen3-moe", **own)
    mixtral = rms | {"model_type": "mixtral", "num_local_experts": 3, "intermediate_size": 6}
    yield Folder("mixtral-silent-base", mixtral, **own)
    yield Folder("mixtral-base", mixtral | {"rope_theta": 1000000.0, "num_experts_per_tok": 2, "sliding_window": None},
                 like="mixtral-silent-base", **own)  # fmt: skip
    olmoe = rms | {"model_type": "olmoe", "intermediate_size": 6} | three
    yield Folder("olmoe", olmoe, **own)
    yield Folder("olmoe-clipped", olmoe | {"clip_qkv": 0.4}, unlike="olmoe", **own)
    granitemoe = rms | {"model_type": "granitemoe", "intermediate_size": 6, "num_local_experts": 3}
    yield Folder("granitemoe-silent", granitemoe, **own)
    gpt_oss = rms | {"model_type": "gpt_oss", "head_dim": 32, "intermediate_size": 6, "num_local_experts": 3,
                     "num_experts_per_tok": 2}  # fmt: skip
    silent = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "original_max_position_embeddings": 4096,
              "rope_theta": 150000.0}  # fmt: skip
    yield Folder("gpt-oss-silent", gpt_oss, **own)
    yield Folder("gpt-oss-rope", gpt_oss | {"rope_parameters": silent | {"truncate": False}, "sliding_window": 128},
                 like="gpt-oss-silent", **own)  # fmt: skip
    # Where parameters are written, they are truncated unless they say otherwise.
    short = silent | {"original_max_position_embeddings": 64, "rope_theta": 100.0}
    yield Folder("gpt-oss-untruncated", gpt_oss | {"rope_parameters": short | {"truncate": False}}, **own)
    yield Folder("gpt-oss-truncated", gpt_oss | {"rope_parameters": short}, unlike="gpt-oss-untruncated", **own)
    yield Folder("gpt-oss-window", gpt_oss | {"sliding_window": 5}, unlike="gpt-oss-silent", **own)
    yield Folder("gpt-oss-window-second", gpt_oss | {"sliding_window": 5, "layer_types": ["full_attention", "sliding_attention"]},
                 unlike="gpt-oss-window", **own)  # fmt: skip
    yield Folder("gpt-oss-limit", gpt_oss | {"swiglu_limit": 0.25}, unlike="gpt-oss-silent", **own)
