//! What it saves to compute an expert for the rows alone that chose it: a masked sweep of models with experts, of random weights
//! and small widths, against the same sweep with every expert computed for every row. Both must generate the same tokens.
//!
//!     cargo bench --bench experts [-- ROUNDS]

#[path = "../tests/tiny/mod.rs"]
mod tiny;

use std::time::Instant;

use anyhow::{Result, ensure};
use icl_mask::engine::{Generation, Limits, Observer, Request, StopRule, generate};
use icl_mask::model::{
    Arch, Family, Mixture, Pairs, Positions, Precision, QkNorm, Rope, RopeScaling, Routing, Scoring, Sizes,
    Transformer,
};
use icl_mask::prompt::{Profile, Prompt, Tokenizer};

const LAYERS: usize = 6;

/// Name, family, experts, how many of them a row chooses, and their width.
const SHAPES: [(&str, Family, usize, usize, usize); 3] = [
    ("as Mixtral, 2 of 8", Family::Mixtral, 8, 2, 1792),
    ("as Qwen3-MoE, 4 of 32", Family::Qwen3Moe, 32, 4, 384),
    ("as Qwen3-MoE, 2 of 16", Family::Qwen3Moe, 16, 2, 384),
];

fn main() -> Result<()> {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(3);
    let tokenizer = tiny::tokenizer("smollm");
    let prompts = tiny::prompts(&tokenizer, Profile::Exact, 5, 8);
    let requests: Vec<Request> = prompts.iter().flat_map(cells).collect();
    println!("{} generations of 16 tokens, prompts of {} tokens", requests.len(), prompts[0].tokens.len());
    for (name, family, experts, chosen, width) in SHAPES {
        let routing = Routing { experts, chosen, scoring: Scoring::Renormed, all_rows: false };
        let arch = arch(family, tokenizer.vocab_size(), Mixture { routing, width, dense: vec![] });
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let mut tokens = Vec::new();
            for (all_rows, times) in [false, true].into_iter().zip(&mut times) {
                let model = model(&arch, all_rows)?;
                let begun = Instant::now();
                tokens.push(sweep(&model, &tokenizer, &requests)?);
                times.push(begun.elapsed().as_secs_f64());
            }
            ensure!(tokens[0] == tokens[1], "{name}: other tokens");
        }
        let [some, all] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        println!("{name}: chosen {some:.2} s, all {all:.2} s, ratio {:.2}", all / some);
    }
    Ok(())
}

/// The baseline, and TTF from every layer.
fn cells(prompt: &Prompt) -> Vec<Request<'_>> {
    let masked = (0..LAYERS).map(|layer| tiny::plan(prompt, "TTF", layer));
    std::iter::once(tiny::plan(prompt, "none", 0))
        .chain(masked)
        .map(|plan| Request::new(prompt, plan))
        .collect()
}

fn arch(family: Family, vocab: usize, mixture: Mixture) -> Arch {
    let sizes = Sizes {
        layers: LAYERS,
        hidden: 512,
        heads: 8,
        kv_heads: 2,
        head_dim: 64,
        intermediate: mixture.width,
        vocab,
        context: 1024,
    };
    let qk_norm = (family == Family::Qwen3Moe).then_some(QkNorm::Head);
    let all = Rope { theta: 10_000., dims: 64, pairs: Pairs::Halves, scaling: RopeScaling::None };
    let positions = Positions::Rotary { all, windowed: None };
    Arch { positions, qk_norm, experts: Some(mixture), ..Arch::llama(family, sizes) }
}

fn model(arch: &Arch, all_rows: bool) -> Result<Transformer> {
    let mut arch = arch.clone();
    if let Some(mixture) = &mut arch.experts {
        mixture.routing.all_rows = all_rows;
    }
    Transformer::new(arch, &tiny::RandomWeights, Precision::F32)
}

/// The tokens of each request.
fn sweep(model: &Transformer, tokenizer: &Tokenizer, requests: &[Request]) -> Result<Vec<Vec<u32>>> {
    let rule = StopRule { eos: vec![], strings: vec![], max_new_tokens: 16, full_length: true };
    let mut collected = Collected(vec![Vec::new(); requests.len()]);
    generate(model, tokenizer, requests, &rule, Limits::branches(64), &mut collected)?;
    Ok(collected.0)
}

struct Collected(Vec<Vec<u32>>);

impl Observer for Collected {
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        self.0[index] = generation.tokens;
        Ok(())
    }
}
