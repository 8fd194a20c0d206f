//! Which languages a corpus is of, where its own files say so: a header `en<TAB>it`, keys of JSONL, `columns:` of a YAML
//! file. A file's name says nothing.

use std::path::Path;

use anyhow::Result;

use super::{
    CorpusKind, DataConfig, DemonstrationPool, Direction, TableColumns, TableFile, languages, table,
};
use crate::base::error::input;

/// Placeholders of paths and columns that stand for languages.
const PLACEHOLDERS: [&str; 3] = ["{source}", "{target}", "{pair}"];

impl DataConfig {
    /// Whether its files or columns can only be found where the languages are known.
    pub fn needs_direction(&self) -> bool {
        let names = |text: &str| PLACEHOLDERS.iter().any(|placeholder| text.contains(placeholder));
        let columns = |columns: &TableColumns| names(&columns.source) || names(&columns.target);
        // A brace in the path of a file given by flag is no placeholder.
        let file = |file: &TableFile| self.origin.is_some() && names(&file.file);
        match &self.kind {
            CorpusKind::Flores(_) => true,
            CorpusKind::Table(table) => {
                let parts = [Some(&table.test), table.demonstrations.as_ref(), table.training.as_ref()];
                parts.into_iter().flatten().any(file) || columns(&table.columns)
            }
            CorpusKind::Code(code) => match &code.demonstrations {
                Some(DemonstrationPool::File(pool)) => file(pool) || columns(&code.demonstration_columns),
                Some(DemonstrationPool::LeaveOneOut) | None => false,
            },
        }
    }

    /// The direction that it says itself: in its YAML file, or by the names of its columns. `None` where they name no
    /// languages.
    ///
    /// # Errors
    /// The test file cannot be read, or names more than two languages.
    pub fn own_direction(&self) -> Result<Option<Direction>> {
        match (&self.direction, &self.kind) {
            (Some(direction), _) => Ok(Some(direction.clone())),
            (None, CorpusKind::Table(table)) if self.origin.is_none() => {
                let path = Path::new(&table.test.file);
                named_by(&table::names(path, &self.advice("test"))?, path)
            }
            (None, CorpusKind::Table(table)) => Ok(pair(&table.columns.source, &table.columns.target)),
            (None, CorpusKind::Flores(_) | CorpusKind::Code(_)) => Ok(None),
        }
    }

    /// The sentence that asks for a direction.
    pub fn wants_direction(&self) -> String {
        match &self.origin {
            Some(file) => format!(
                "--direction is missing: the files or columns of the corpus `{}` ({}) go by languages; write it as \
                 --direction en-it",
                self.name,
                file.display()
            ),
            None => format!(
                "--direction is missing: the columns of {} name no languages; write it as --direction en-it, or call the \
                 columns by their languages (en and it)",
                self.name
            ),
        }
    }
}

/// The direction of columns with these names, in their order: a header `source<TAB>target` names no languages, `en<TAB>it` two.
fn named_by(names: &[String], path: &Path) -> Result<Option<Direction>> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if has("source") && has("target") {
        return Ok(None);
    }
    let spoken = |name: &&String| language(name).is_some();
    // `id` is Indonesian only where there would be no second language without it.
    let others: Vec<&String> = names.iter().filter(|name| *name != "id").filter(spoken).collect();
    let found = match others.len() {
        1 => names.iter().filter(spoken).collect(),
        _ => others,
    };
    match found.as_slice() {
        [source, target] => Ok(pair(source, target)),
        [] | [_] => Ok(None),
        many => {
            let many: Vec<&str> = many.iter().map(|name| name.as_str()).collect();
            Err(input(format!(
                "{} has columns for {} languages ({}); write which two are meant, such as --direction {}-{}",
                path.display(),
                many.len(),
                many.join(", "),
                many[0],
                many[1]
            )))
        }
    }
}

fn pair(source: &str, target: &str) -> Option<Direction> {
    let code = |name: &str| language(name).map(|language| language.code.to_string());
    Some(Direction { source: code(source)?, target: code(target)? })
}

/// The language that a column is called by; a key within a key (`translation.en`) by its last part.
pub(super) fn language(name: &str) -> Option<&'static languages::Language> {
    languages::find(name.rsplit('.').next().unwrap_or(name))
}

/// Whether a column's name is this language, by any of its codes.
pub(super) fn is_language(name: &str, code: &str) -> bool {
    let same = |known: &languages::Language| known.codes().any(|known| known == code);
    name == code || language(name).is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(header: &str) -> Option<String> {
        let names: Vec<String> = header.split('\t').map(String::from).collect();
        named_by(&names, Path::new("x.tsv")).unwrap().map(|direction| direction.to_string())
    }

    #[test]
    fn a_header_names_two_languages_or_none() {
        for (header, direction) in [
            ("en\tit", Some("en-it")),
            ("id\tit\ten", Some("it-en")),
            ("eng_Latn\tfra_Latn\tnote", Some("en-fr")),
            ("DEU\tEN", Some("de-en")),
            ("id\ten", Some("id-en")),
            ("en\tid", Some("en-id")),
            ("n\ttranslation.en\ttranslation.it", Some("en-it")),
            ("source\ttarget", None),
            ("source\ttarget\ten\tit", None),
            ("source\tit", None),
            ("question\tanswer", None),
        ] {
            assert_eq!(named(header).as_deref(), direction, "{header}");
        }
        let names = ["en", "it", "de"].map(String::from);
        let error = named_by(&names, Path::new("x.tsv")).unwrap_err().to_string();
        assert!(
            error.contains("columns for 3 languages (en, it, de)") && error.contains("--direction en-it")
        );
    }
}
