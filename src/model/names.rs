//! What transformers calls the tensors of each family. One table: the loader, GGUF and adapters read it.

use super::arch::{Arch, Family, Wiring};
use super::projection::Projection;

/// Tensor names of one family, without `.weight` and `.bias`; those of a block follow the block's own name.
pub struct TensorNames {
    /// Token embedding.
    pub embedding: &'static str,
    /// Learned positions.
    pub positions: &'static str,
    /// Norm after the embedding.
    pub embedding_norm: &'static str,
    /// What stands before a block's number.
    pub blocks: &'static str,
    /// Norm before attention.
    pub attention_norm: &'static str,
    /// Queries, keys and values.
    pub qkv: Qkv,
    /// Norms of queries and keys.
    pub qk_norms: [&'static str; 2],
    /// Each head has a tensor of its own in them, whose number follows.
    pub qk_norms_apart: bool,
    /// The heads' sinks.
    pub sinks: &'static str,
    /// Attention output projection.
    pub output: &'static str,
    /// Norm after attention, before it is added.
    pub after_attention: &'static str,
    /// Norm before the MLP.
    pub mlp_norm: &'static str,
    /// The MLP's gate and what leads into it, where they are stored as one.
    pub gate_up: Option<&'static str>,
    /// The MLP's gate.
    pub gate: &'static str,
    /// Into the MLP.
    pub up: &'static str,
    /// Out of the MLP.
    pub down: &'static str,
    /// The router of experts: as files have it, then as transformers' own modules do.
    pub router: &'static [&'static str],
    /// The experts, in each of the ways in which files hold them.
    pub experts: &'static [ExpertNames],
    /// Norm after the MLP, before it is added.
    pub after_mlp: &'static str,
    /// From the embedding to the states, and from the last states back.
    pub projections: [&'static str; 2],
    /// Last norm.
    pub norm: &'static str,
    /// Vocabulary projection.
    pub head: &'static str,
    /// Matrices are stored `[in, out]`.
    pub transposed: bool,
}

/// How queries, keys and values are stored.
#[derive(Clone, Copy)]
pub enum Qkv {
    /// In three matrices.
    Apart([&'static str; 3]),
    /// In one: all queries, all keys, all values.
    Stacked(&'static str),
    /// In one: for each head of keys its queries, its key and its value.
    ByGroup(&'static str),
}

/// How the experts of a layer are stored.
#[derive(Clone, Copy)]
pub enum ExpertNames {
    /// Each in matrices of its own: what stands before its number, and behind it gate, up and down.
    Apart(&'static str, [&'static str; 3]),
    /// All in two tensors: `[experts, gates, then ups, hidden]` and `[experts, hidden, width]`. These are their whole names.
    Stacked([&'static str; 2]),
    /// All in two tensors `[experts, hidden, gates and ups in turn]` and `[experts, width, hidden]`, with biases, or packed. These
    /// are their whole names.
    InTurn([&'static str; 2]),
}

const LLAMA: TensorNames = TensorNames {
    embedding: "model.embed_tokens",
    positions: "",
    embedding_norm: "",
    blocks: "model.layers",
    attention_norm: "input_layernorm",
    qkv: Qkv::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    qk_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    qk_norms_apart: false,
    sinks: "",
    output: "self_attn.o_proj",
    after_attention: "",
    mlp_norm: "post_attention_layernorm",
    gate_up: None,
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    router: &[],
    experts: &[],
    after_mlp: "",
    projections: ["", ""],
    norm: "model.norm",
    head: "lm_head",
    transposed: false,
};

const GPT2: TensorNames = TensorNames {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    blocks: "transformer.h",
    attention_norm: "ln_1",
    qkv: Qkv::Stacked("attn.c_attn"),
    output: "attn.c_proj",
    mlp_norm: "ln_2",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    norm: "transformer.ln_f",
    transposed: true,
    ..LLAMA
};

const GPT_NEO: TensorNames = TensorNames {
    qkv: Qkv::Apart(["attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"]),
    output: "attn.attention.out_proj",
    transposed: false,
    ..GPT2
};

const BLOOM: TensorNames = TensorNames {
    embedding: "transformer.word_embeddings",
    embedding_norm: "transformer.word_embeddings_layernorm",
    blocks: "transformer.h",
    qkv: Qkv::ByGroup("self_attention.query_key_value"),
    output: "self_attention.dense",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
    norm: "transformer.ln_f",
    ..LLAMA
};

const GPT_NEOX: TensorNames = TensorNames {
    embedding: "gpt_neox.embed_in",
    blocks: "gpt_neox.layers",
    qkv: Qkv::ByGroup("attention.query_key_value"),
    output: "attention.dense",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
    norm: "gpt_neox.final_layer_norm",
    head: "embed_out",
    ..LLAMA
};

const STARCODER2: TensorNames = TensorNames { up: "mlp.c_fc", down: "mlp.c_proj", ..LLAMA };

const GEMMA: TensorNames = TensorNames {
    after_attention: "post_attention_layernorm",
    mlp_norm: "pre_feedforward_layernorm",
    after_mlp: "post_feedforward_layernorm",
    ..LLAMA
};

const MIXTRAL: TensorNames = TensorNames {
    router: &["block_sparse_moe.gate", "mlp.gate"],
    experts: &[ExpertNames::Apart("block_sparse_moe.experts", ["w1", "w3", "w2"]), STACKED],
    ..LLAMA
};

const QWEN3_MOE: TensorNames = TensorNames {
    router: &["mlp.gate"],
    experts: &[ExpertNames::Apart("mlp.experts", PARTS), STACKED],
    ..LLAMA
};

/// The last way is that of GGUF files, here and below.
const GRANITEMOE: TensorNames = TensorNames {
    router: &["block_sparse_moe.router.layer", "block_sparse_moe.router"],
    experts: &[
        ExpertNames::Stacked([
            "block_sparse_moe.input_linear.weight",
            "block_sparse_moe.output_linear.weight",
        ]),
        ExpertNames::Stacked(["block_sparse_moe.experts.gate_up_proj", "block_sparse_moe.experts.down_proj"]),
        ExpertNames::Apart("block_sparse_moe.experts", PARTS),
    ],
    ..LLAMA
};

const GPT_OSS: TensorNames = TensorNames {
    sinks: "self_attn.sinks",
    router: &["mlp.router"],
    experts: &[
        ExpertNames::InTurn(["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]),
        ExpertNames::Apart("mlp.experts", PARTS),
    ],
    ..LLAMA
};

/// What most files call gate, up and down.
const PARTS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// As transformers' own modules hold most families' experts.
const STACKED: ExpertNames = ExpertNames::Stacked(["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]);
/// Norms after attention and after the MLP, and none before.
const OLMO: TensorNames = TensorNames {
    after_attention: "post_attention_layernorm",
    after_mlp: "post_feedforward_layernorm",
    ..LLAMA
};

const PHI3: TensorNames =
    TensorNames { qkv: Qkv::Stacked("self_attn.qkv_proj"), gate_up: Some("mlp.gate_up_proj"), ..LLAMA };

const STABLELM: TensorNames = TensorNames {
    qk_norms: ["self_attn.q_layernorm.norms", "self_attn.k_layernorm.norms"],
    qk_norms_apart: true,
    ..LLAMA
};

const GPTJ: TensorNames = TensorNames {
    qkv: Qkv::Apart(["attn.q_proj", "attn.k_proj", "attn.v_proj"]),
    output: "attn.out_proj",
    up: "mlp.fc_in",
    down: "mlp.fc_out",
    transposed: false,
    ..GPT2
};

const OPT: TensorNames = TensorNames {
    embedding: "model.decoder.embed_tokens",
    positions: "model.decoder.embed_positions",
    blocks: "model.decoder.layers",
    attention_norm: "self_attn_layer_norm",
    output: "self_attn.out_proj",
    mlp_norm: "final_layer_norm",
    up: "fc1",
    down: "fc2",
    projections: ["model.decoder.project_in", "model.decoder.project_out"],
    norm: "model.decoder.final_layer_norm",
    ..LLAMA
};

/// The blocks of both older forms.
const FALCON: TensorNames = TensorNames { embedding_norm: "", ..BLOOM };

/// The form with a norm for attention and one for the MLP.
const FALCON_TWO_NORMS: TensorNames = TensorNames { attention_norm: "ln_attn", mlp_norm: "ln_mlp", ..FALCON };

impl TensorNames {
    /// The names of an architecture's tensors.
    pub fn of(arch: &Arch) -> &'static Self {
        match arch.family {
            Family::Llama
            | Family::Qwen2
            | Family::Qwen3
            | Family::Mistral
            | Family::Ministral
            | Family::Smollm3
            | Family::Granite
            | Family::Cohere => &LLAMA,
            Family::Gemma2 => &GEMMA,
            Family::Olmo2 | Family::Olmo3 => &OLMO,
            Family::Phi3 => &PHI3,
            Family::Stablelm => &STABLELM,
            Family::Gptj => &GPTJ,
            Family::Opt => &OPT,
            Family::Falcon if arch.wiring == Wiring::Parallel => &FALCON_TWO_NORMS,
            Family::Falcon => &FALCON,
            Family::GptNeo => &GPT_NEO,
            Family::Bloom => &BLOOM,
            Family::Starcoder2 => &STARCODER2,
            Family::Gpt2 => &GPT2,
            Family::GptNeox => &GPT_NEOX,
            Family::Gemma3 => &GEMMA,
            Family::Mixtral => &MIXTRAL,
            Family::Qwen3Moe | Family::Olmoe => &QWEN3_MOE,
            Family::Granitemoe => &GRANITEMOE,
            Family::GptOss => &GPT_OSS,
        }
    }
}

/// What transformers calls the module of a projection; `None` where the family has none of its own for it.
pub fn module_name(arch: &Arch, layer: usize, projection: Projection) -> Option<String> {
    projection.sizes(arch)?;
    let names = TensorNames::of(arch);
    let part = match (projection, names.qkv) {
        (Projection::Q, Qkv::Apart([q, ..])) => q,
        (Projection::K, Qkv::Apart([_, k, _])) => k,
        (Projection::V, Qkv::Apart([.., v])) => v,
        (Projection::Q | Projection::K | Projection::V, _) => return None,
        (Projection::O, _) => names.output,
        (Projection::Gate | Projection::Up, _) if names.gate_up.is_some() => return None,
        (Projection::Gate, _) => names.gate,
        (Projection::Up, _) => names.up,
        (Projection::Down, _) => names.down,
    };
    Some(format!("{}.{layer}.{part}", names.blocks))
}
