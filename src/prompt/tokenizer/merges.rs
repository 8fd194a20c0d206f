//! The merges of a BPE model, in order of rank: listed by the file, or implied by its scores.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Result;

use super::metadata::wrong;

/// Merges `left right` as a GGUF file lists them.
///
/// # Errors
/// An `InputError` for a merge that is not two tokens whose union is a token. The library would panic at some
/// of them.
pub(super) fn listed(merges: &[&str], ids: &HashMap<String, u32>) -> Result<Vec<(String, String)>> {
    let pair = |merge: &&str| {
        let (left, right) = merge.split_once(' ')?;
        let known = [left, right, &[left, right].concat()].iter().all(|token| ids.contains_key(*token));
        known.then(|| (left.to_string(), right.to_string()))
    };
    merges
        .iter()
        .map(|merge| pair(merge).ok_or_else(|| wrong("merges", &format!("of known tokens (at `{merge}`)"))))
        .collect()
}

/// The merges that a SentencePiece BPE vocabulary implies: each way to make a normal token of two others, the
/// best-scored token first.
///
/// SentencePiece itself always joins the pair with the best-scored union. Ranks say the same, except that two
/// ways to make one token, which have one score, get an order: longer left parts first, as transformers'
/// `generate_merges`.
pub(super) fn by_score(
    tokens: &[Cow<str>],
    scores: &[f64],
    ids: &HashMap<String, u32>,
    normal: impl Fn(u32) -> bool,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (id, (token, &score)) in (0u32..).zip(tokens.iter().zip(scores)).filter(|(id, _)| normal(*id)) {
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            let part = |part: &str| ids.get(part).copied().filter(|&part| normal(part));
            if part(left).is_some() && part(right).is_some() {
                found.push((score, id, left, right));
            }
        }
    }
    // Stable, and `total_cmp`, so that a file with a NaN gives some order and no panic.
    found.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(b.2.chars().count().cmp(&a.2.chars().count()))
    });
    found.into_iter().map(|(_, _, left, right)| (left.to_string(), right.to_string())).collect()
}
