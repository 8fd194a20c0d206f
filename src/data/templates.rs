//! Paths and names of columns that go by languages.

use std::path::PathBuf;

use anyhow::Result;

use super::{Direction, languages};
use crate::base::error::absent;

/// The paths or names a template stands for, the likeliest first: those that write both languages in one style of codes, then
/// those that mix styles (`nb` and `eng`).
pub(super) fn expand(template: &str, direction: Option<&Direction>) -> Vec<String> {
    let Some(direction) = direction else { return vec![template.into()] };
    let codes = |code: &str| match languages::find(code) {
        Some(language) => language.codes().map(String::from).collect(),
        None => vec![code.to_string()],
    };
    let (sources, targets) = (codes(&direction.source), codes(&direction.target));
    let mixed =
        sources.iter().flat_map(|source| targets.iter().map(|target| (source.clone(), target.clone())));
    let mut all = Vec::new();
    for (source, target) in direction.spellings().into_iter().chain(mixed) {
        let filled = template.replace("{source}", &source).replace("{target}", &target);
        for pair in [format!("{source}-{target}"), format!("{target}-{source}")] {
            let candidate = filled.replace("{pair}", &pair);
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
    }
    all
}

/// The first file that exists among those a path template stands for.
pub(super) fn existing(template: &str, direction: Option<&Direction>, advice: &str) -> Result<PathBuf> {
    let candidates = expand(template, direction);
    let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| match (candidates.as_slice(), direction) {
        (_, None) => absent(format!("the file {template} does not exist; {advice}")),
        ([only], _) => absent(format!("the file {only} does not exist; {advice}")),
        (_, Some(direction)) => {
            let unknown = [&direction.source, &direction.target]
                .into_iter()
                .find_map(|code| languages::lookup(code).err());
            let hint = unknown.map_or(String::new(), |error| format!(" ({error})"));
            absent(format!(
                "there is no file {} (from {template}) for the direction {direction}{hint}; {advice}",
                candidates[0]
            ))
        }
    })
}
