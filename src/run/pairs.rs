//! What adapters are trained on.

use anyhow::Result;

use super::model::OpenModel;
use crate::base::error::input;
use crate::base::hash::Hash;
use crate::config::{Run, Training};
use crate::data::{Corpus, Example, load_training};
use crate::lora::TrainingText;
use crate::prompt::Format;

/// The pairs that adapters are trained on and stopped by, and the sha256 over them.
pub fn pairs(
    run: &Run,
    training: &Training,
    corpus: &Corpus,
    format: &Format,
    model: &OpenModel,
) -> Result<(Vec<TrainingText>, Option<String>)> {
    let all = load_training(&run.data, run.direction.as_ref())?;
    let first = |flag: &str, from: &[Example], n: usize, what: &str| match from.get(..n) {
        Some(some) => Ok(some.to_vec()),
        None => {
            Err(input(format!("--{flag} {n}: the corpus `{}` has only {} {what}", corpus.name, from.len())))
        }
    };
    let mut all = first("train-size", &all, training.train_size, "training pairs")?;
    let dev = first("dev-size", &corpus.demonstrations, training.dev_size, "pairs for the dev loss")?;
    all.extend(dev);
    let mut hash = Hash::default();
    for text in all.iter().flat_map(|pair| [&pair.id, &pair.source, &pair.target]) {
        hash.bytes((text.len() as u64).to_le_bytes());
        hash.bytes(text);
    }
    let texts: Vec<TrainingText> =
        all.iter().map(|pair| TrainingText::new(pair, format, &model.tokenizer)).collect::<Result<_>>()?;
    texts.iter().try_for_each(|text| text.check_fits(model.arch.context))?;
    for text in &texts {
        model.check_embedded(|| format!("training pair {} holds", text.id), &text.tokens)?;
    }
    Ok((texts, Some(hash.hex())))
}
