//! What the page is filled with.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::options::{OptionsData, Texts};
use crate::figure::{DisplayNames, TextPart, labels};
use crate::intervene::{Condition, InterventionKind, Series};
use crate::prompt::Profile;
use crate::results::{ManifestPrompt, RunFolder, Settings};
use crate::stats::{Curve, CurveKey, Panel, StoredRun, Study, TooShort};
use crate::tasks::{Mark, Measure, Outcome, TaskKind};

/// Everything that a page shows.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What it is of.
    pub title: String,
    version: &'static str,
    made_by: Vec<String>,
    panels: Vec<PanelData>,
}

#[derive(Debug, Serialize)]
struct PanelData {
    model: String,
    /// What the model is called on the page.
    name: String,
    data: String,
    direction: String,
    task: String,
    metric: Measure,
    /// Why no conclusion is drawn, if none is.
    too_short: Option<TooShort>,
    digits: usize,
    n_layers: usize,
    n: usize,
    about: String,
    curves: Vec<CurveData>,
    runs: Vec<RunData>,
    examples: Vec<ExampleData>,
}

#[derive(Debug, Serialize)]
struct CurveData {
    label: Vec<TextPart>,
    name: String,
    #[serde(flatten)]
    curve: Curve,
    recognition: Vec<RecognitionData>,
    /// What the variation of its prompts changes in the baseline, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
}

#[derive(Debug, Serialize)]
struct RecognitionData {
    definition: String,
    layer: Option<usize>,
    /// Its 95 % interval in words.
    interval: Option<String>,
}

#[derive(Debug, Serialize)]
struct RunData {
    folder: String,
    format: String,
    nprompts: usize,
    seed: u32,
    command: Vec<String>,
    settings: Settings,
    device: String,
    threads: usize,
    version: String,
    git: Option<String>,
    prompt: PromptData,
    hidden: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize)]
struct PromptData {
    id: String,
    text: String,
    tokens: Vec<TokenData>,
}

#[derive(Debug, Serialize)]
struct TokenData {
    text: String,
    segment: &'static str,
}

#[derive(Debug, Serialize)]
struct ExampleData {
    id: String,
    source: String,
    target: String,
    texts: Vec<String>,
    outputs: Vec<OutputData>,
    /// By run, where options were weighed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<OptionsData>,
}

#[derive(Debug, Serialize)]
struct OutputData {
    run: usize,
    #[serde(rename = "mask")]
    series: Series,
    layer: Option<usize>,
    text: usize,
    #[serde(flatten)]
    mark: Mark,
}

impl Report {
    /// Of all panels of a study, with the outputs of the first `items` test items of each.
    ///
    /// # Errors
    /// Generations that cannot be read.
    pub fn new(
        study: &Study,
        title: String,
        items: usize,
        (made_by, names): (Vec<String>, &DisplayNames),
    ) -> Result<Self> {
        let panels = study.panels.iter().map(|panel| panel_data(study, panel, items, names));
        Ok(Self {
            title,
            version: env!("CARGO_PKG_VERSION"),
            made_by,
            panels: panels.collect::<Result<_>>()?,
        })
    }
}

fn panel_data(study: &Study, panel: &Panel, items: usize, names: &DisplayNames) -> Result<PanelData> {
    let settings = panel.settings.clone();
    let runs: Vec<&StoredRun> = panel.runs.iter().map(|&run| &study.runs[run]).collect();
    let keys: Vec<_> = panel.curves.iter().map(|curve| &curve.key).collect();
    let curves = panel.curves.iter().zip(labels(&keys)).map(|(curve, label)| CurveData {
        name: name(&curve.key),
        label,
        recognition: curve
            .recognised
            .iter()
            .map(|found| RecognitionData {
                definition: found.definition.to_string(),
                layer: found.layer,
                interval: found.ends(panel.n_layers, 0),
            })
            .collect(),
        changed: changed(curve, &panel.metric),
        curve: curve.clone(),
    });
    let kind = panel.kind();
    let plotted = match kind {
        InterventionKind::Masks => "",
        InterventionKind::Windows => "parts hidden in a window of layers, ",
        InterventionKind::Ablation => "the attention of one layer taken out, ",
        InterventionKind::Lora => "an adapter trained on one layer, ",
    };
    Ok(PanelData {
        about: format!("{plotted}{}", about(&settings)),
        digits: panel.metric.digits,
        metric: panel.metric.clone(),
        too_short: panel.too_short.clone(),
        n_layers: panel.n_layers,
        n: settings.n,
        curves: curves.collect(),
        runs: runs.iter().map(|run| run_data(run)).collect(),
        examples: examples(&runs, kind, items)?,
        name: names.of(&settings.model).into(),
        model: settings.model,
        data: settings.data,
        direction: settings.direction,
        task: settings.task,
    })
}

/// A curve's name as plain text: `TTF, instr, 5 examples`, and what its prompts vary.
fn name(key: &CurveKey) -> String {
    let CurveKey { intervention, format, nprompts, vary, .. } = key;
    let varied = if vary.is_empty() { String::new() } else { format!(", {vary}") };
    format!("{intervention}, {format}, {nprompts} examples{varied}")
}

/// What the variation of a curve's prompts changes in the baseline, and how many items are left out.
fn changed(curve: &Curve, metric: &Measure) -> Option<String> {
    let varied = curve.varied.as_ref()?;
    let effect = curve.baseline.as_ref()?.effect.as_ref()?;
    let left_out = effect.items_left_out().map(|words| format!("; {words}")).unwrap_or_default();
    Some(format!("Baseline, {}: {}{left_out}.", varied.by, effect.sentence(metric, varied)))
}

/// The settings that all curves of a panel share, in a line.
fn about(settings: &Settings) -> String {
    let Settings { n, max_new_tokens, dtype, .. } = settings;
    let weighs = TaskKind::find(&settings.task, "").is_ok_and(|kind| kind.weighs);
    let answers = match weighs {
        true => "options weighed by their log-probability".to_string(),
        false => format!("at most {max_new_tokens} new tokens"),
    };
    let mut about = vec![format!("{n} test items"), answers];
    about.push(match settings.profile {
        Profile::Exact => "profile exact".into(),
        Profile::Sia2024 => "profile sia2024".into(),
    });
    match settings.sampling {
        None if weighs => {}
        None => about.push("greedy".into()),
        Some(drawn) => about.push(format!(
            "{} samples at temperature {}, top-p {} (outputs below: the first)",
            drawn.samples, drawn.temperature, drawn.top_p
        )),
    }
    if settings.chat_template.is_some() {
        about.push("in the model's chat template".into());
    }
    if settings.drop_context {
        about.push("each generation computed by itself at full length".into());
    }
    about.push(format!("weights as {dtype}"));
    about.join(", ")
}

fn run_data(run: &StoredRun) -> RunData {
    let manifest = run.manifest.clone();
    RunData {
        folder: run.folder.display().to_string(),
        format: manifest.settings.format.clone(),
        nprompts: manifest.settings.nprompts,
        seed: manifest.settings.seed,
        command: manifest.command,
        settings: manifest.settings,
        device: manifest.device,
        threads: manifest.threads,
        version: manifest.version,
        git: manifest.git,
        prompt: prompt_data(manifest.prompt),
        hidden: manifest.hidden,
    }
}

fn prompt_data(prompt: ManifestPrompt) -> PromptData {
    let segments = &prompt.segments;
    let segment = |at: usize| {
        segments.named().into_iter().find(|(_, range)| range.contains(&at)).map_or("", |(name, _)| name)
    };
    let texts = prompt.token_texts.iter().enumerate();
    let tokens = texts.map(|(at, text)| TokenData { text: text.clone(), segment: segment(at) }).collect();
    PromptData { id: prompt.id, text: prompt.text, tokens }
}

/// The first items with what every cell of every run put out for them; the same text is stored once.
fn examples(runs: &[&StoredRun], kind: InterventionKind, items: usize) -> Result<Vec<ExampleData>> {
    let Some(first) = runs.first() else { return Ok(Vec::new()) };
    let taken = first.items.iter().take(items);
    let mut examples: Vec<ExampleData> = taken
        .map(|item| ExampleData {
            id: item.id.clone(),
            source: item.source.clone(),
            target: item.target.clone(),
            texts: Vec::new(),
            outputs: Vec::new(),
            options: Vec::new(),
        })
        .collect();
    let mut texts: Vec<Texts> = examples.iter().map(|_| Texts::default()).collect();
    for (index, run) in runs.iter().enumerate() {
        let folder = RunFolder::new(run.folder.clone());
        let samples = run.manifest.settings.sampling.map_or(1, |drawn| drawn.samples);
        let of_panel = |condition: Condition| {
            condition.intervention().is_none_or(|intervention| intervention.kind() == kind)
        };
        let conditions = run.cells.iter().map(|cell| cell.record.condition());
        for condition in conditions.filter(|condition| of_panel(*condition)) {
            let path = folder.score_path(condition);
            let lines = folder.generations(&path)?;
            // Of several samples the first stands for all.
            let lines = lines.into_iter().step_by(samples.max(1));
            for ((example, texts), line) in examples.iter_mut().zip(&mut texts).zip(lines) {
                example.outputs.push(OutputData {
                    run: index,
                    series: condition.series(),
                    layer: condition.layer(),
                    text: texts.place(&line.clean),
                    mark: line.outcome.mark(),
                });
                let Outcome::Choice(choice) = &line.outcome else { continue };
                OptionsData::gather(&mut example.options, (index, condition), choice, texts)
                    .with_context(|| format!("{}: item {}", path.display(), line.id))?;
            }
        }
    }
    for (example, texts) in examples.iter_mut().zip(texts) {
        example.texts = texts.all;
    }
    Ok(examples)
}
