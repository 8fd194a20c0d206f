//! Each generation by itself, as one would serve a model that no longer looks at its context from a layer on: hidden rows
//! are computed and kept up to that layer only. For measuring what that saves; the tokens are those of a sweep.

use anyhow::{Context, Result};

use super::{Generation, Limits, Observer, Request, StopRule, Work, generate};
use crate::model::Decoder;
use crate::prompt::Tokenizer;

/// Make the generations one after the other, sharing nothing; each comes with its own time and multiply-adds.
///
/// # Errors
/// As [`generate`].
pub fn generate_alone<D: Decoder>(
    decoder: &D,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let mut all = Work::default();
    for (index, request) in requests.iter().enumerate() {
        let mut one = One { observer: &mut *observer, generation: None };
        let request = std::slice::from_ref(request);
        let work = generate(decoder, tokenizer, request, rule, Limits::branches(1), &mut one)?;
        let mut generation = one.generation.context("a generation did not end")?;
        generation.multiply_adds = Some(work.total());
        observer.finished(index, generation)?;
        all.add(work);
    }
    Ok(all)
}

/// Holds a generation back until its work is known.
struct One<'a> {
    observer: &'a mut dyn Observer,
    generation: Option<Generation>,
}

impl Observer for One<'_> {
    fn passed(&mut self, tokens: usize, multiply_adds: u64) {
        self.observer.passed(tokens, multiply_adds);
    }

    fn finished(&mut self, _: usize, generation: Generation) -> Result<()> {
        self.generation = Some(generation);
        Ok(())
    }
}
