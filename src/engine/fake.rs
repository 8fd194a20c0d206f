//! For the tests of the engine's parts: prompts of chosen tokens, and a decoder that computes nothing and writes down which rows it
//! was given, layer by layer.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Generation, Limits, Observer, Request, StopRule, generate};
use crate::data::Example;
use crate::intervene::{Change, Columns, Plan};
use crate::model::{AdapterId, Arch, BlockId, Decoder, Fields, KvStore, Matrix, Reads, Rows, States};
use crate::prompt::{Format, Profile, Prompt, Prompter, Tokenizer};

pub const LAYERS: usize = 4;

/// Of four layers, with one head of sixteen.
pub fn arch() -> Arch {
    let fields = json!({
        "model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": 16, "num_attention_heads": 1, "head_dim": 16,
        "intermediate_size": 8, "vocab_size": 100, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
    });
    let Value::Object(fields) = fields else { unreachable!("it is written as one") };
    Arch::from_fields(&Fields(fields)).expect("a whole description")
}

fn tokenizer() -> Tokenizer {
    let file = "tests/goldens/tokenizers/smollm.tokenizer.json";
    Tokenizer::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a golden tokenizer")
}

/// Prompts of these tokens. Those of equal `demonstrations` are computed together.
pub fn prompts(demonstrations: &str, all: &[&[u32]]) -> Vec<Prompt> {
    let tokenizer = tokenizer();
    let format = Format { question: "Q".into(), answer: "A".into(), ..Format::default() };
    let prompter = Prompter::new(&format, ("", ""), &[], &tokenizer, Profile::Exact, false);
    let example = |at: usize| Example {
        id: at.to_string(),
        source: "S".into(),
        target: "T".into(),
        ..Example::default()
    };
    let prompt = |(at, tokens): (usize, &&[u32])| {
        let mut prompt = prompter.prompt(&example(at)).expect("a prompt");
        prompt.tokens = tokens.to_vec();
        (prompt.text, prompt.borders) = (demonstrations.into(), [0, demonstrations.len()]);
        prompt
    };
    all.iter().enumerate().map(prompt).collect()
}

/// These columns are hidden from a layer on.
pub fn hide(columns: Range<usize>, layer: usize) -> Plan {
    Plan::from_layer(layer, Change::Hide(Columns::new([columns])))
}

/// What a decoder was asked for, of rows that travel together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub positions: Vec<usize>,
    pub write: BlockId,
    /// Columns as ranges; `None` where there is no attention, or each row reads itself alone.
    pub reads: Option<Vec<(BlockId, Range<usize>)>>,
    pub adapter: Option<AdapterId>,
}

/// Rows through the layers: at each layer those that were there.
#[derive(Debug, Clone, Default)]
pub struct SeenPass {
    /// Tokens that it began with.
    pub tokens: Vec<u32>,
    pub layers: [Vec<Seen>; LAYERS],
    /// The same of rows of which keys and values alone were asked for: their positions.
    pub written: [Vec<Vec<usize>>; LAYERS],
}

impl SeenPass {
    /// The positions of the rows at each layer, strand by strand.
    pub fn positions(&self) -> [Vec<Vec<usize>>; LAYERS] {
        self.layers.clone().map(|seen| seen.into_iter().map(|seen| seen.positions).collect())
    }
}

/// Rows, each by the token and the position that it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(pub Vec<(u32, usize)>);

impl States for Named {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn gather(&self, rows: &[usize]) -> Result<Self> {
        Ok(Self(rows.iter().map(|&row| self.0[row]).collect()))
    }

    fn append(&mut self, rows: &[usize]) -> Result<()> {
        let more = self.gather(rows)?;
        self.0.extend(more.0);
        Ok(())
    }
}

/// The decoder.
pub struct Fake {
    arch: Arch,
    /// Every row chooses another token than those beside it; otherwise all choose the same one.
    parting: bool,
    passes: Mutex<Vec<SeenPass>>,
}

impl Fake {
    pub fn new(parting: bool) -> Self {
        Self { arch: arch(), parting, passes: Mutex::default() }
    }

    /// What it was asked for so far.
    pub fn passes(&self) -> Vec<SeenPass> {
        self.passes.lock().expect("no thread has failed").clone()
    }
}

impl Decoder for Fake {
    type States = Named;
    type Kv = KvStore;

    fn arch(&self) -> &Arch {
        &self.arch
    }

    fn kv_element(&self) -> usize {
        size_of::<f32>()
    }

    fn kv(&self, _: u64) -> Result<KvStore> {
        Ok(KvStore::default())
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<Named> {
        let pass = SeenPass { tokens: tokens.to_vec(), ..SeenPass::default() };
        self.passes.lock().expect("no thread has failed").push(pass);
        Ok(Named(tokens.iter().copied().zip(positions.iter().copied()).collect()))
    }

    fn layer(&self, layer: usize, states: &mut Named, batch: &[Rows], _: &mut KvStore) -> Result<()> {
        let positions: Vec<usize> = batch.iter().flat_map(|rows| rows.positions).copied().collect();
        let of_states: Vec<usize> = states.0.iter().map(|(_, position)| *position).collect();
        assert_eq!(positions, of_states, "the rows of layer {layer} are not those of the states");
        let seen = batch.iter().map(|rows| Seen {
            positions: rows.positions.to_vec(),
            write: rows.write,
            reads: match rows.reads {
                Reads::Columns(reads) => {
                    Some(reads.iter().map(|read| (read.block, read.start..read.end)).collect())
                }
                Reads::Own | Reads::Nothing => None,
            },
            adapter: rows.adapter,
        });
        let mut passes = self.passes.lock().expect("no thread has failed");
        let pass = passes.last_mut().expect("rows begin with tokens");
        assert!(pass.layers[layer..].iter().all(Vec::is_empty), "layer {layer} comes after one above it");
        pass.layers[layer] = seen.collect();
        Ok(())
    }

    fn write(&self, layer: usize, states: &Named, batch: &[Rows], _: &mut KvStore) -> Result<()> {
        let positions: Vec<Vec<usize>> = batch.iter().map(|rows| rows.positions.to_vec()).collect();
        let of_states: Vec<usize> = states.0.iter().map(|(_, position)| *position).collect();
        assert_eq!(positions.concat(), of_states, "the rows of layer {layer} are not those of the states");
        let mut passes = self.passes.lock().expect("no thread has failed");
        passes.last_mut().expect("rows begin with tokens").written[layer] = positions;
        Ok(())
    }

    fn logits(&self, _: &Named) -> Result<Matrix> {
        unreachable!("nothing is drawn here")
    }

    fn choose(&self, states: &Named) -> Result<Vec<u32>> {
        let token = |row: usize| if self.parting { 50 + row as u32 } else { 50 };
        Ok((0..states.rows()).map(token).collect())
    }
}

/// Tokens of each request, by its number.
struct Collected(Vec<Vec<u32>>);

impl Observer for Collected {
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        self.0[index] = generation.tokens;
        Ok(())
    }
}

/// Make generations of so many tokens with a new decoder.
pub fn generated(decoder: &Fake, requests: &[Request], tokens: usize, limits: Limits) -> Vec<Vec<u32>> {
    let rule = StopRule { eos: vec![], strings: vec![], max_new_tokens: tokens, full_length: true };
    let mut collected = Collected(vec![Vec::new(); requests.len()]);
    generate(decoder, &tokenizer(), requests, &rule, limits, &mut collected).expect("generated");
    collected.0
}
