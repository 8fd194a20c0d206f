//! `figure`: results, or one look into a model, as SVG, PDF, PNG and CSV.

use std::path::PathBuf;

use anyhow::Result;
use rayon::prelude::*;

use super::attention::attention;
use super::output::{check_out, named, style, write};
use crate::base::console::{note, say, say_json, wrapped};
use crate::base::error::input;
use crate::cli::{CurvesArgs, FigureArgs, FigureKind, SelectionArgs};
use crate::figure::{Axis, Saving, curves, names, plain, rows, savings, titles};
use crate::intervene::{Intervention, InterventionKind, Series};
use crate::results::Settings;
use crate::stats::{Curve, Panel, StoredRun, Study, VaryEffect, find_runs};
use crate::tasks::Measure;

/// Draw.
pub fn figure(args: FigureArgs) -> Result<()> {
    match args.kind {
        FigureKind::Masks(args) => {
            let hides = |mask: Intervention| {
                matches!(mask.kind(), InterventionKind::Masks | InterventionKind::Windows)
            };
            let study = study(&args.selection, false, hides)?;
            draw_curves(&study, &args, "masks")
        }
        FigureKind::Lora(args) => {
            let drawn =
                |mask: Intervention| matches!(mask.kind(), InterventionKind::Masks | InterventionKind::Lora);
            let mut study = study(&args.selection, false, drawn)?;
            beside_adapters(&mut study)?;
            draw_curves(&study, &args, "lora")
        }
        FigureKind::Ablation(args) => {
            let study = study(&args.selection, false, |mask| mask.kind() == InterventionKind::Ablation)?;
            draw_curves(&study, &args, "ablation")
        }
        FigureKind::Savings(args) => {
            let study = study(&args, true, |mask| mask.kind() == InterventionKind::Masks)?;
            let first = args.count_from.into();
            let (image, saved) = savings(&study, first, &style(&args.style, models(&study))?)?;
            write(&args.out, "savings", &image, &saved)?;
            match args.json {
                true => say_json(&saved),
                false => say(&savings_text(&study, &saved, first)),
            }
        }
        FigureKind::Attention(args) => attention(*args),
    }
}

/// The runs below the folders, with the statistics of the curves that are wanted. Runs that were made for their times
/// repeat cells of others; they are left out where not times are drawn.
fn study(args: &SelectionArgs, timed: bool, kind: impl Fn(Intervention) -> bool) -> Result<Study> {
    let Some(metrics) = &args.metric else { return study_of(args, None, timed, &kind) };
    let mut seen: Vec<&str> = Vec::new();
    let mut studies = Vec::new();
    for metric in metrics.split(',').map(str::trim) {
        if seen.contains(&metric) {
            return Err(input(format!("--metric: {metric} is named twice; leave one of them out")));
        }
        seen.push(metric);
        studies.push(study_of(args, Some(metric), timed, &kind)?);
    }
    Ok(Study::side_by_side(studies))
}

/// The same for one measure.
fn study_of(
    args: &SelectionArgs,
    metric: Option<&str>,
    timed: bool,
    kind: &impl Fn(Intervention) -> bool,
) -> Result<Study> {
    let masks: Vec<Series> = args
        .mask
        .iter()
        .map(|word| word.parse().map_err(|error| input(format!("--mask: {error}"))))
        .collect::<Result<_>>()?;
    check_out(&args.out)?;
    let runs = read_runs(&args.results, metric)?;
    named("model", &args.model, runs.iter().map(|run| run.manifest.settings.model.as_str()))?;
    named("direction", &args.direction, runs.iter().map(|run| run.manifest.settings.direction.as_str()))?;
    let among = |names: &[String], name: &String| names.is_empty() || names.contains(name);
    let runs: Vec<StoredRun> = runs
        .into_iter()
        .filter(|run| {
            let settings = &run.manifest.settings;
            among(&args.model, &settings.model)
                && among(&args.direction, &settings.direction)
                && (timed || !settings.drop_context)
        })
        .collect();
    for mask in &masks {
        let there =
            runs.iter().flat_map(|run| &run.cells).any(|cell| cell.record.condition().series() == *mask);
        if !there {
            return Err(input(format!("--mask {mask}: no run has it; known: {}", masks_of(&runs))));
        }
    }
    let wanted = |mask: Intervention| kind(mask) && (masks.is_empty() || masks.contains(&Series::Of(mask)));
    let study = Study::new(runs, |key| wanted(key.intervention))?;
    match study.panels.is_empty() {
        true => Err(input(
            "there is no finished cell of this kind to draw (runs with --drop-context are for `figure savings`, those with \
             --ablate-attention for `figure ablation`)",
        )),
        false => Ok(study),
    }
}

/// The masks of these runs' cells, for a message.
fn masks_of(runs: &[StoredRun]) -> String {
    let masks =
        runs.iter().flat_map(|run| &run.cells).map(|cell| cell.record.condition().series().to_string());
    masks.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Curves of adapters, and those of masks beside them that are of the same model and languages.
///
/// # Errors
/// There is none of adapters.
fn beside_adapters(study: &mut Study) -> Result<()> {
    let of = |panel: &Panel| (panel.settings.model.clone(), panel.settings.direction.clone());
    let adapted = study.panels.iter().filter(|panel| panel.kind() == InterventionKind::Lora);
    let adapted: Vec<(String, String)> = adapted.map(of).collect();
    if adapted.is_empty() {
        return Err(input("there is no finished cell with an adapter to draw (icl-mask lora makes some)"));
    }
    study.panels.retain(|panel| adapted.contains(&of(panel)));
    // Side by side, the masks first.
    study.panels.sort_by_key(|panel| (of(panel), panel.kind()));
    Ok(())
}

/// All runs at or below some folders, to look at the measure of this name, or at the usual one of each task.
pub fn read_runs(paths: &[PathBuf], metric: Option<&str>) -> Result<Vec<StoredRun>> {
    let metric = metric.map(Measure::find).transpose()?;
    let folders = find_runs(paths)?;
    let runs: Vec<StoredRun> =
        folders.par_iter().map(|folder| StoredRun::read(folder, metric.as_ref())).collect::<Result<_>>()?;
    for run in &runs {
        let (asked, finished) = (run.manifest.asked.conditions().count(), run.cells.len());
        if finished < asked {
            let shorter = match run.shorter {
                0 => String::new(),
                some => format!(" ({some} of them were finished for fewer test items)"),
            };
            note(format!(
                "warning: {}: {} of {asked} cells are not finished{shorter}; what is made of it lacks them",
                run.folder.display(),
                asked - finished
            ));
        }
    }
    Ok(runs)
}

/// The models of a study's runs.
fn models(study: &Study) -> impl Iterator<Item = &str> {
    study.runs.iter().map(|run| run.manifest.settings.model.as_str())
}

fn draw_curves(study: &Study, args: &CurvesArgs, name: &str) -> Result<()> {
    let style = style(&args.selection.style, models(study))?;
    let first: usize = args.selection.count_from.into();
    let axis = if args.relative { Axis::Relative } else { Axis::Layers(first) };
    let image = curves(study, axis, &style)?;
    let name = if args.relative { format!("{name}-relative") } else { name.into() };
    write(&args.selection.out, &name, &image, &rows(study))?;
    if args.selection.json {
        return say_json(&study.panels);
    }
    if args.relative {
        let shareless = |curve: &Curve| curve.points.iter().any(|point| point.ratio.is_none());
        let curves = study.panels.iter().flat_map(|panel| panel.curves.iter().zip(names(panel)));
        for (_, name) in curves.filter(|(curve, _)| shareless(curve)) {
            note(format!("left out, because its baseline is not above 0: {}", plain(&name)));
        }
    }
    let titles = titles(&study.panels, &style.names);
    study.panels.iter().zip(titles).try_for_each(|(panel, title)| say(&recognised(panel, title, first)))
}

/// From which layer on the context is no longer needed, curve by curve; layers counted from `first`.
fn recognised(panel: &Panel, title: String, first: usize) -> String {
    let mut text = title;
    if first > 0 {
        text += " (layers counted from 1)";
    }
    if panel.kind() == InterventionKind::Masks {
        text += ": brackets mark what is hidden";
    }
    if let Some(too_short) = &panel.too_short {
        text += &format!("\n  {too_short}");
    }
    for (curve, name) in panel.curves.iter().zip(names(panel)) {
        text += &format!("\n  {}{}", plain(&name), incomplete(panel, curve));
        let sentences =
            curve.recognised.iter().map(|found| found.sentence(&curve.key, panel.n_layers, first));
        for sentence in sentences.chain(changed(panel, curve, first)) {
            text += &format!("\n{}", wrapped(&format!("    {sentence}"), "      "));
        }
    }
    text
}

/// What the variation of a curve's prompts changes, in sentences: for the baseline and for each layer, counted from `first`.
fn changed(panel: &Panel, curve: &Curve, first: usize) -> Vec<String> {
    let Some(varied) = &curve.varied else { return Vec::new() };
    let baseline =
        curve.baseline.iter().filter_map(|baseline| Some(("baseline".into(), baseline.effect.as_ref()?)));
    let points = curve
        .points
        .iter()
        .filter_map(|point| Some((format!("layer {}", point.layer + first), point.effect.as_ref()?)));
    let cells: Vec<(String, &VaryEffect)> = baseline.chain(points).collect();
    let sentence = |(name, effect): &(String, &VaryEffect)| {
        format!("{}, {name}: {}", varied.by, effect.sentence(&panel.metric, varied))
    };
    let mut said: Vec<String> = cells.iter().map(sentence).collect();
    let mut left_out: Vec<String> = cells.iter().filter_map(|(_, effect)| effect.items_left_out()).collect();
    left_out.dedup();
    said.extend(left_out);
    if cells.iter().any(|(_, effect)| effect.p.is_some()) {
        said.push("each p is of one cell and is not corrected for the number of layers".into());
    }
    said
}

/// What is saved layer by layer, and where the task is recognised by runs of the same prompts that were not timed; layers
/// counted from `first`.
fn savings_text(study: &Study, saved: &[Saving], first: usize) -> String {
    let mut lines = Vec::new();
    for curve in saved.chunk_by(|a, b| (a.panel, &a.key) == (b.panel, &b.key)) {
        let panel = &study.panels[curve[0].panel];
        lines.push(format!("{}, {}", curve[0].title, curve[0].key.intervention));
        lines.extend(curve.iter().map(|row| wrapped(&format!("  {}", row.line(first)), "    ")));
        let untimed = |other: &&Panel| {
            let shared = Settings { drop_context: true, no_stop: true, ..other.shared() };
            !other.settings.drop_context && shared == panel.shared()
        };
        let twins = study.panels.iter().filter(untimed).flat_map(|panel| &panel.curves);
        for found in twins.filter(|twin| twin.key == curve[0].key).flat_map(|twin| &twin.recognised) {
            if curve.iter().any(|row| Some(row.layer) == found.layer) {
                let sentence = found.sentence(&curve[0].key, panel.n_layers, first);
                lines.push(wrapped(&format!("  {sentence}"), "    "));
            }
        }
    }
    lines.join("\n")
}

/// Why no layer is named, where none is.
fn incomplete(panel: &Panel, curve: &Curve) -> String {
    let n_layers = panel.n_layers;
    match &curve.baseline {
        _ if panel.too_short.is_some() => String::new(),
        _ if curve.key.intervention.kind() != InterventionKind::Masks => String::new(),
        None => ": there is no baseline to compare with".into(),
        Some(_) if curve.points.len() < n_layers => {
            format!(": {} of {n_layers} layers finished", curve.points.len())
        }
        Some(_) if curve.recognised.is_empty() => ": not the same seeds at every layer".into(),
        Some(_) => String::new(),
    }
}
