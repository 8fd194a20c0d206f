//! FLORES-101 and FLORES-200: one file per language and split, aligned line by line.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::lines::Lines;
use super::{CorpusPart, DataConfig, Direction, Example, Flores, LineRange, languages};
use crate::base::error::{absent, input};

/// The examples of one part; `None` if there is no such part.
pub(super) fn read(
    config: &DataConfig,
    flores: &Flores,
    direction: Option<&Direction>,
    part: CorpusPart,
) -> Result<Option<Vec<Example>>> {
    let direction = direction.ok_or_else(|| input(config.wants_direction()))?;
    let split = match part {
        CorpusPart::Demonstrations => Some(&flores.demonstrations),
        CorpusPart::Test => Some(&flores.test),
        CorpusPart::Training => flores.training.as_ref(),
    };
    let Some(split) = split else { return Ok(None) };
    let folder = flores.folder.join(&split.split);
    if !folder.is_dir() {
        let advice = config.advice("folder");
        return Err(absent(format!("the folder {} does not exist; {advice}", folder.display())));
    }
    let source = file_of(config, &folder, &split.split, &direction.source)?;
    let target = file_of(config, &folder, &split.split, &direction.target)?;
    read_aligned(&source, &target, split.lines).map(Some)
}

/// The file of a language: named by its FLORES-101 code, its FLORES-200 code or its short one, whichever is there.
fn file_of(config: &DataConfig, folder: &Path, split: &str, code: &str) -> Result<PathBuf> {
    let language = languages::lookup(code)?;
    let candidates: Vec<_> = language.codes().map(|code| format!("{code}.{split}")).collect();
    let found = candidates.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        input(format!(
            "{} has no file for {} (looked for {}); {}",
            folder.display(),
            language.name,
            candidates[..candidates.len() - language.others.len()].join(", "),
            config.advice("folder")
        ))
    })
}

/// Pairs line i with line i. Both files are read to their ends, so that a lost line anywhere is noticed even if it
/// lies behind the range.
fn read_aligned(source: &Path, target: &Path, range: Option<LineRange>) -> Result<Vec<Example>> {
    let mut sides = [Lines::open(source, "check the folder")?, Lines::open(target, "check the folder")?];
    let mut examples = Vec::new();
    loop {
        let [left, right] = &mut sides;
        let (Some(source), Some(target)) = (left.next_line()?, right.next_line()?) else { break };
        let line = left.number();
        if range.is_none_or(|range| range.contains(line)) {
            examples.push(Example { id: line.to_string(), source, target, ..Example::default() });
        }
    }
    for side in &mut sides {
        while side.next_line()?.is_some() {}
    }
    let [left, right] = [&sides[0], &sides[1]].map(Lines::number);
    if left != right {
        return Err(input(format!(
            "{} has {left} lines but {} has {right}; the two must be aligned line by line, so fetch both again",
            source.display(),
            target.display()
        )));
    }
    if left == 0 {
        return Err(input(format!("{} is empty; fetch it again", source.display())));
    }
    match range {
        Some(range) if range.last > left => Err(input(format!(
            "lines {range} were asked for but {} has only {left}; change `lines:`",
            source.display()
        ))),
        _ => Ok(examples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Corpus, CorpusKind, load_training};
    use tempfile::TempDir;

    const YAML: &str = "kind: flores\nprepare: bin/prepare-flores.sh\nfolder: FOLDER\ntest: {split: devtest}\n\
                        demonstrations: {split: dev, lines: 3..4}\ntraining: {split: dev, lines: 1..2}\n";

    fn corpus_of(files: &[(&str, &str)]) -> (TempDir, DataConfig) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let text = YAML.replace("FOLDER", &folder.path().display().to_string());
        let config = DataConfig::parse(&text, Path::new("configs/data/flores.yaml")).unwrap();
        (folder, config)
    }

    fn load(config: &DataConfig, direction: &str) -> Result<Corpus> {
        Corpus::load(config, &direction.parse().unwrap())
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        let (_folder, config) = corpus_of(files);
        let error = load(&config, "en-fr").unwrap_err();
        assert!(error.downcast_ref::<crate::base::error::InputError>().is_some(), "{error}");
        error.to_string()
    }

    const DEV: [(&str, &str); 2] = [("dev/eng.dev", "a\nb\nc\nd\n"), ("dev/fra.dev", "A\nB\nC\nD\n")];
    const TEST: [(&str, &str); 2] = [("devtest/eng.devtest", "x\ny\n"), ("devtest/fra.devtest", "X\nY\n")];

    #[test]
    fn flores_101_in_both_directions() {
        let (_folder, config) = corpus_of(&[DEV, TEST].concat());
        let corpus = load(&config, "en-fr").unwrap();
        assert_eq!(
            (corpus.test[1].id.as_str(), corpus.test[1].source.as_str(), corpus.test[1].target.as_str()),
            ("2", "y", "Y")
        );
        let drawn_from: Vec<_> =
            corpus.demonstrations.iter().map(|e| (e.id.as_str(), e.source.as_str())).collect();
        assert_eq!(drawn_from, [("3", "c"), ("4", "d")]);
        assert_eq!(load(&config, "eng_Latn-fra_Latn").unwrap().hash, corpus.hash);
        let back = load(&config, "fr-en").unwrap();
        assert_eq!((back.test[0].source.as_str(), back.test[0].target.as_str()), ("X", "x"));
        assert_ne!(back.hash, corpus.hash);
        let training = load_training(&config, Some(&"en-fr".parse().unwrap())).unwrap();
        assert_eq!(training.iter().map(|e| e.target.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn flores_200_names_are_found_too() {
        let renamed: Vec<_> =
            [DEV, TEST].concat().iter().map(|(name, text)| (name.replace('.', "_Latn."), *text)).collect();
        let files: Vec<_> = renamed.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let (_folder, config) = corpus_of(&files);
        assert_eq!(load(&config, "en-fr").unwrap().test.len(), 2);
    }

    #[test]
    fn missing_folder_or_language_says_what_to_run() {
        let message = refusal(&DEV);
        assert!(message.contains("devtest does not exist; run `bin/prepare-flores.sh`, which prepares the corpus, or change `folder:` in configs/data/flores.yaml"), "{message}");
        let message = refusal(&[TEST[0], DEV[0], DEV[1]]);
        assert!(
            message.contains("has no file for French (looked for fr.devtest, fra.devtest, fra_Latn.devtest)"),
            "{message}"
        );
        let (_folder, config) = corpus_of(&[DEV, TEST].concat());
        let message = load(&config, "en-frr").unwrap_err().to_string();
        assert!(message.contains("`frr` is not a language code"), "{message}");
    }

    #[test]
    fn files_that_are_not_parallel_are_refused() {
        let message = refusal(&[("devtest/eng.devtest", "x\ny\nz\n"), TEST[1]]);
        assert!(message.contains("eng.devtest has 3 lines but "), "{message}");
        assert!(message.contains("fra.devtest has 2; the two must be aligned"), "{message}");
        let message = refusal(&[TEST[0], ("devtest/fra.devtest", "X\n\n")]);
        assert!(message.contains("fra.devtest:2 is empty"), "{message}");
        let message = refusal(&[("devtest/eng.devtest", ""), ("devtest/fra.devtest", "")]);
        assert!(message.contains("eng.devtest is empty"), "{message}");
    }

    #[test]
    fn a_range_beyond_the_file_is_refused() {
        let short = [("dev/eng.dev", "a\nb\nc\n"), ("dev/fra.dev", "A\nB\nC\n")];
        let message = refusal(&[short, TEST].concat());
        assert!(message.contains("lines 3..4 were asked for but "), "{message}");
        assert!(message.contains("eng.dev has only 3"), "{message}");
    }

    #[test]
    fn without_training_lines_there_is_no_training() {
        let (_folder, mut config) = corpus_of(&[DEV, TEST].concat());
        if let CorpusKind::Flores(flores) = &mut config.kind {
            flores.training = None;
        }
        let message = load_training(&config, Some(&"en-fr".parse().unwrap())).unwrap_err().to_string();
        assert!(
            message.ends_with("has no training split; add `training:` to configs/data/flores.yaml"),
            "{message}"
        );
    }
}
