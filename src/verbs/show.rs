//! `show`: one item's prompt, its segments coloured, its tokens parted, and what a mask hides.

use std::ops::Range;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::output::ranges;
use crate::base::console::{note, say, say_in_colour, say_json};
use crate::base::error::{input, printable};
use crate::cli::ShowArgs;
use crate::config::{Experiment, Purpose};
use crate::hub::ModelFiles;
use crate::intervene::{Change, Columns, Condition, Edit, Series};
use crate::prompt::{Prompt, Tokenizer};
use crate::results::SpecialTokens;
use crate::run::{OpenModel, RunInputs, describe, hidden_json, ranges_json, rules_json};

/// Show one prompt.
pub fn show(args: ShowArgs) -> Result<()> {
    let experiment = Experiment::resolve_for(Purpose::Show, args.config.as_deref(), args.settings, describe)?;
    let run = &experiment.runs[0];
    if experiment.runs.len() > 1 {
        note(format!("these settings make {} runs; a prompt of the first is shown", experiment.runs.len()));
    }
    let model = OpenModel::open(&run.model, ModelFiles::Description)?;
    let prepared = RunInputs::new(run.clone(), &model)?;
    let items = prepared.prompts.len();
    let prompt = prepared
        .prompts
        .get(args.item)
        .ok_or_else(|| input(format!("--item {}: there are {items} items, 0 to {}", args.item, items - 1)))?;
    let conditions = &run.conditions;
    if args.json {
        let masked = conditions.iter().find(|condition| !condition.is_baseline());
        say_json(&as_json(&prepared, args.item, *masked.unwrap_or(&conditions[0]), &model.tokenizer))
    } else {
        text(&prepared, args.item, &model.tokenizer)?;
        say(&special_tokens(&prepared.special_tokens(prompt, &model.tokenizer)))?;
        let asked = asked(&prepared, args.item, &model.tokenizer);
        if !asked.is_empty() {
            say(&format!("\n{asked}"))?;
        }
        match program(&prepared, args.item) {
            Some(program) => {
                say(&format!("\nThe program that is run, with the reference as the answer:\n{program}"))
            }
            None => Ok(()),
        }
    }
}

/// What is asked of an item, and how it is judged; empty where the task's name says it.
fn asked(prepared: &RunInputs, item: usize, tokenizer: &Tokenizer) -> String {
    let example = &prepared.items[item];
    if let Some(options) = prepared.options.get(item) {
        let lines = example.options.iter().zip(options.tokens()).map(|(option, tokens)| {
            let tokens: Vec<String> =
                tokens.iter().map(|token| format!("{:?}", tokenizer.token_text(*token))).collect();
            let right =
                if example.right().any(|right| right.trim() == option.trim()) { "  (right)" } else { "" };
            format!("  {}: {}{right}", printable(option.trim()), tokens.join(" "))
        });
        let lines: Vec<String> = lines.take(SHOWN).collect();
        let more = match example.options.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        return format!(
            "options, each weighed as these tokens after the prompt:\n{}{more}",
            lines.join("\n")
        );
    }
    if prepared.run.task.name != "answer" {
        return String::new();
    }
    let right: Vec<String> = example.right().map(|right| printable(right.trim())).collect();
    let rule = prepared.run.asked.answer.clone().unwrap_or_default();
    // The keys and values of a task's file, which its docs explain.
    let rule = match serde_json::to_value(&rule) {
        Ok(Value::Object(keys)) if !keys.is_empty() => {
            let words = keys.iter().map(|(key, value)| match value {
                Value::String(word) => format!("{key} {word}"),
                Value::Array(list) => {
                    let list: Vec<String> = list.iter().filter_map(Value::as_str).map(String::from).collect();
                    format!("{key} {}", list.join(", "))
                }
                other => format!("{key} {other}"),
            });
            words.collect::<Vec<_>>().join("; ")
        }
        _ => "as it is written".into(),
    };
    format!("right answers: {}\ncompared: {rule}", right.join(", "))
}

/// Options that are listed.
const SHOWN: usize = 30;

/// What would be run if the answer were the reference: problem, answer, tests.
fn program(prepared: &RunInputs, item: usize) -> Option<String> {
    let item = &prepared.items[item];
    prepared.task.program(item, &prepared.task.clean(&item.target, &prepared.delimiters()))
}

fn as_json(prepared: &RunInputs, item: usize, condition: Condition, tokenizer: &Tokenizer) -> Value {
    let (prompt, n_layers) = (&prepared.prompts[item], prepared.run.model.layers);
    let special = prepared.special_tokens(prompt, tokenizer);
    let masks = &prepared.run.masks;
    let plan = condition.plan(prompt, masks).unwrap_or_default();
    let change = plan.edits().first().map(|edit| edit.change.clone());
    // `all` hides columns that depend on the row: every one but the row's own.
    let ranges = match change {
        Some(Change::Hide(_)) => hidden_json(condition, prompt, masks),
        // Above and below it all is read.
        None | Some(Change::NoAttention | Change::Adapt(_)) => json!([]),
        Some(Change::OnlySelf) => json!([[0, prompt.tokens.len()]]),
    };
    let generated = prompt.tokens.len()..usize::MAX;
    let generated = [("generated", generated.clone()), ("choosing", generated.start - 1..generated.end)];
    let spans: Map<String, Value> = prompt
        .names()
        .into_iter()
        .map(|(name, ranges)| (name.to_string(), ranges_json(&Columns::new(ranges))))
        .chain(generated.map(|(name, range)| (name.into(), ranges_json(&Columns::new([range])))))
        .collect();
    let mut value = json!({
        "id": prompt.item,
        "prompt": prompt.text,
        "tokens": prompt.tokens,
        "segments": prompt.segments,
        "spans": spans,
        "mask": condition.series(),
        "from_layer": condition.start(n_layers),
        "n_layers": n_layers,
        "hidden": ranges,
        "rules": rules_json(condition, prompt, masks),
        "own_column_only": change == Some(Change::OnlySelf),
        "attention_removed": change == Some(Change::NoAttention),
        "special_tokens": special,
    });
    let example = &prepared.items[item];
    if let Some(options) = prepared.options.get(item) {
        value["options"] = example
            .options
            .iter()
            .zip(options.tokens())
            .map(|(text, tokens)| json!({ "text": text.trim(), "tokens": tokens }))
            .collect();
        value["right"] = example.target.trim().into();
    }
    if let Some(program) = program(prepared, item) {
        value["program"] = program.into();
    }
    value
}

fn text(prepared: &RunInputs, item: usize, tokenizer: &Tokenizer) -> Result<()> {
    let (prompt, conditions) = (&prepared.prompts[item], &prepared.run.conditions);
    say(&format!("item {}, {} tokens\n", prompt.item, prompt.tokens.len()))?;
    for (name, range) in prompt.segments.named() {
        if !range.is_empty() {
            let colour = match name {
                "instructions" => 36,
                "examples" => 33,
                "query" => 32,
                _ => 35,
            };
            let tokens = pieces(prompt, range, tokenizer);
            say(&format!("{name} [{}, {})", range.start, range.end))?;
            say_in_colour(colour, &format!("{tokens}\n"))?;
        }
    }
    let mut all: Vec<Series> = conditions.iter().map(|condition| condition.series()).collect();
    all.dedup();
    for series in all {
        let of_series = conditions.iter().filter(|condition| condition.series() == series);
        let layers: Vec<usize> = of_series.filter_map(|condition| condition.layer()).collect();
        match layers.first() {
            None => say(&format!("{series}: hides nothing in this prompt"))?,
            Some(&first) => {
                let plan = prepared.plan(series.at(first), item)?;
                say(&hides(prompt, series, plan.edits(), &layers, tokenizer))?;
            }
        }
    }
    Ok(())
}

/// What begins and ends a text, a line each.
fn special_tokens(special: &SpecialTokens) -> String {
    let bos = special.bos_text.as_ref().map_or(String::new(), |text| format!("{text:?}, "));
    let eos =
        special.eos_texts.iter().zip(&special.eos_from).map(|(text, from)| format!("{text:?} ({from})"));
    let eos: Vec<String> = eos.collect();
    let eos = if eos.is_empty() { "none (no file of the model names one)".into() } else { eos.join(", ") };
    format!("beginning of text: {bos}{}\nend of text: {eos}", special.bos_from)
}

/// What a series does to a prompt, an edit a line. `edits` are those of the first of its layers.
fn hides(prompt: &Prompt, series: Series, edits: &[Edit], layers: &[usize], tokenizer: &Tokenizer) -> String {
    let first = layers.first().copied().unwrap_or(0);
    let lines = edits.iter().map(|edit| {
        let from = from_layers(edit, first, layers);
        match &edit.change {
            Change::OnlySelf => format!("{series}: {from}, each token attends only to itself"),
            Change::NoAttention => {
                let in_turn = if layers.len() > 1 { ", each in turn" } else { "" };
                let layers = ranges(&layers.iter().copied().collect());
                format!("{series}: removes the attention of one layer{in_turn}: {layers}")
            }
            Change::Adapt(_) => format!("{series}: hides nothing; one layer has an adapter"),
            Change::Hide(columns) => {
                let readers = match edit.rows == Columns::all() {
                    true => String::new(),
                    false => format!(" from the rows {}", edges(prompt, &edit.rows, tokenizer)),
                };
                format!("{series}: {from}, {}{readers}", hidden(prompt, columns, tokenizer))
            }
        }
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { format!("{series}: hides nothing in this prompt") } else { lines.join("\n") }
}

/// At which layers an edit works.
fn from_layers(edit: &Edit, first: usize, layers: &[usize]) -> String {
    let window = edit.layers.end.saturating_sub(first);
    match (layers, edit.layers.end) {
        ([one], usize::MAX) => format!("from layer {one} on"),
        ([_, .., last], usize::MAX) => format!("from the start layer on ({first}..{last})"),
        ([one], _) => format!("at {window} layers from {one} on"),
        ([_, .., last], _) => format!("at {window} layers from the start layer on ({first}..{last})"),
        ([], _) => String::new(),
    }
}

/// How many tokens are hidden, and which.
fn hidden(prompt: &Prompt, columns: &Columns, tokenizer: &Tokenizer) -> String {
    let edges = edges(prompt, columns, tokenizer);
    match columns.within(&(0..prompt.tokens.len())).len() {
        1 if columns.len() == 1 => format!("1 token is hidden: {edges}"),
        count if count == columns.len() => format!("{count} tokens are hidden: {edges}"),
        count => format!("{count} tokens of the prompt and generated ones are hidden: {edges}"),
    }
}

/// Ranges with their first and last tokens.
fn edges(prompt: &Prompt, columns: &Columns, tokenizer: &Tokenizer) -> String {
    let n = prompt.tokens.len();
    let token = |at: usize| match at < n {
        true => pieces(prompt, &(at..at + 1), tokenizer),
        false => "(generated)".into(),
    };
    let edge = |range: &Range<usize>| match range.end {
        usize::MAX => format!("[{}, ...) from {} on", range.start, token(range.start)),
        end => format!("[{}, {end}) from {} to {}", range.start, token(range.start), token(end - 1)),
    };
    columns.ranges().iter().map(edge).collect::<Vec<_>>().join(", ")
}

/// The tokens of a range, parted by `|`, line ends shown as `⏎` before they break.
fn pieces(prompt: &Prompt, range: &Range<usize>, tokenizer: &Tokenizer) -> String {
    let piece = |at: usize| {
        let bytes = tokenizer.token_bytes(prompt.tokens[at]).unwrap_or_default();
        // Corpora may hold terminal escapes; they are shown, not obeyed.
        let text = printable(&String::from_utf8_lossy(&bytes));
        if range.len() == 1 { format!("{text:?}") } else { text.replace('\n', "⏎\n") }
    };
    range.clone().map(piece).collect::<Vec<_>>().join("|")
}
