//! `figure`: results, or one look into a model, as SVG, PNG and CSV.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;

use super::model::OpenModel;
use super::prepare::Prepared;
use super::run::set_threads;
use super::say;
use crate::cli::{AttentionArgs, CurvesArgs, FigureArgs, FigureKind};
use crate::config::{Experiment, Run};
use crate::engine::Plain;
use crate::error::{input, suggest};
use crate::figure::attention::Seen;
use crate::figure::{Axis, Image, Saved, curves, label, plain, rows, savings, with_ending};
use crate::hub::Wanted;
use crate::mask::Treatment;
use crate::model::{Decoder, Matrix, Transformer};
use crate::results::write_atomically;
use crate::stats::{Curve, Panel, StoredRun, Study, find_runs};

/// Draw.
pub fn figure(args: FigureArgs) -> Result<()> {
    match args.kind {
        FigureKind::Masks(args) => {
            let study = study(&args, |mask| mask != Treatment::Ablation)?;
            draw_curves(&study, &args, "masks")
        }
        FigureKind::Ablation(args) => {
            let study = study(&args, |mask| mask == Treatment::Ablation)?;
            draw_curves(&study, &args, "ablation")
        }
        FigureKind::Savings(args) => {
            let study = study(&args, |mask| mask != Treatment::Ablation)?;
            let (image, saved) = savings(&study)?;
            write(&args.out, "savings", &image, &saved)?;
            match args.json {
                true => say(&serde_json::to_string(&saved)?),
                false => say(&savings_text(&study, &saved)),
            }
        }
        FigureKind::Attention(args) => attention(*args),
    }
}

/// The runs below the folders, with the statistics of the curves that are wanted.
fn study(args: &CurvesArgs, kind: impl Fn(Treatment) -> bool) -> Result<Study> {
    let masks: Vec<Treatment> = args
        .mask
        .iter()
        .map(|word| word.parse().map_err(|error| input(format!("--mask: {error}"))))
        .collect::<Result<_>>()?;
    let runs = read_runs(&args.results)?;
    named("model", &args.model, runs.iter().map(|run| run.manifest.settings.model.as_str()))?;
    named("direction", &args.direction, runs.iter().map(|run| run.manifest.settings.direction.as_str()))?;
    let among = |names: &[String], name: &String| names.is_empty() || names.contains(name);
    let runs: Vec<StoredRun> = runs
        .into_iter()
        .filter(|run| {
            let settings = &run.manifest.settings;
            among(&args.model, &settings.model) && among(&args.direction, &settings.direction)
        })
        .collect();
    let wanted = |mask: Treatment| kind(mask) && (masks.is_empty() || masks.contains(&mask));
    let study = Study::new(runs, |key| wanted(key.mask))?;
    match study.panels.is_empty() {
        true => Err(input("there is no finished cell of this kind to draw")),
        false => Ok(study),
    }
}

/// All runs at or below some folders.
pub fn read_runs(paths: &[PathBuf]) -> Result<Vec<StoredRun>> {
    find_runs(paths)?.par_iter().map(|folder| StoredRun::read(folder)).collect()
}

/// Each name that is asked for must be there.
fn named<'a>(flag: &str, asked: &[String], there: impl Iterator<Item = &'a str>) -> Result<()> {
    let there: Vec<&str> = there.collect();
    match asked.iter().find(|name| !there.contains(&name.as_str())) {
        Some(name) => Err(input(format!("--{flag}: no run of `{name}`; {}", suggest(name, &there)))),
        None => Ok(()),
    }
}

fn draw_curves(study: &Study, args: &CurvesArgs, name: &str) -> Result<()> {
    let axis = if args.relative { Axis::Relative } else { Axis::Layers(args.count_from.into()) };
    let image = curves(study, axis)?;
    let name = if args.relative { format!("{name}-relative") } else { name.into() };
    write(&args.out, &name, &image, &rows(study))?;
    if args.json {
        return say(&serde_json::to_string(&study.panels)?);
    }
    study.panels.iter().try_for_each(|panel| say(&recognised(panel)))
}

/// From which layer on the context is no longer needed, curve by curve.
fn recognised(panel: &Panel) -> String {
    let settings = &panel.settings;
    let mut text = format!("{}, {}.{}", settings.model, settings.data, settings.direction);
    for curve in &panel.curves {
        text += &format!("\n  {}{}", plain(&label(&curve.key)), incomplete(curve, panel.n_layers));
        for found in &curve.recognised {
            let layer = |layer: usize| match layer < panel.n_layers {
                true => format!("layer {layer}"),
                false => "no layer".into(),
            };
            let interval = found
                .interval
                .map_or(String::new(), |[low, high]| format!(" (95 %: {} to {})", layer(low), layer(high)));
            let at = layer(found.layer.unwrap_or(panel.n_layers));
            text += &format!("\n    {}: {at}{interval}", found.definition);
        }
    }
    text
}

/// What is saved layer by layer, and where the task is recognised by runs that were not timed.
fn savings_text(study: &Study, saved: &[Saved]) -> String {
    let mut lines = Vec::new();
    for panel in &study.panels {
        for curve in &panel.curves {
            let of_curve: Vec<&Saved> = saved.iter().filter(|row| row.is_of(panel, &curve.key)).collect();
            if of_curve.is_empty() {
                continue;
            }
            let settings = &panel.settings;
            let name =
                format!("{}, {}.{}, {}", settings.model, settings.data, settings.direction, curve.key.mask);
            match settings.drop_context {
                true => {
                    lines.push(name);
                    lines.extend(of_curve.iter().map(|row| format!("  {}", row.line())));
                }
                false => lines.extend(curve.recognised.iter().filter_map(|found| {
                    let row = of_curve.iter().find(|row| Some(row.layer) == found.layer)?;
                    Some(format!("{name}: {}: {}", found.definition, row.line()))
                })),
            }
        }
    }
    lines.join("\n")
}

fn incomplete(curve: &Curve, n_layers: usize) -> String {
    match &curve.baseline {
        _ if curve.key.mask == Treatment::Ablation => String::new(),
        None => ": no baseline to compare with".into(),
        Some(_) if curve.points.len() < n_layers => {
            format!(": {} of {n_layers} layers finished", curve.points.len())
        }
        Some(_) if curve.recognised.is_empty() => ": not the same seeds at every layer".into(),
        Some(_) => String::new(),
    }
}

/// `<out>/<name>.svg`, `.png` and `.csv`.
fn write(out: &Path, name: &str, image: &Image, rows: &[impl Serialize]) -> Result<()> {
    let base = out.join(name);
    let [svg, png] = image.write(&base)?;
    let csv = with_ending(&base, "csv");
    write_csv(&csv, rows.iter())?;
    eprintln!("{}, {}, {}", svg.display(), png.display(), csv.display());
    Ok(())
}

fn write_csv(path: &Path, rows: impl Iterator<Item = impl Serialize>) -> Result<()> {
    let mut rows = Some(rows);
    write_atomically(path, |out| {
        let mut csv = csv::Writer::from_writer(out);
        for row in rows.take().into_iter().flatten() {
            csv.serialize(row)?;
        }
        Ok(csv.flush()?)
    })
}

/// One layer's attention over one prompt.
fn attention(args: AttentionArgs) -> Result<()> {
    let experiment = Experiment::resolve(args.config.as_deref(), args.settings)?;
    let run = experiment.runs[0].clone();
    let head = match args.head.as_str() {
        "mean" => None,
        word => Some(
            word.parse::<usize>()
                .map_err(|_| input(format!("--head: `{word}` is neither a number nor mean")))?,
        ),
    };
    if args.layer >= run.model.layers {
        let last = run.model.layers - 1;
        return Err(input(format!("--layer {}: {} has the layers 0 to {last}", args.layer, run.model.name)));
    }
    set_threads(experiment.threads)?;
    let model = OpenModel::open(&run.model, Wanted::Weights)?;
    let heads = model.arch.heads;
    if let Some(head) = head.filter(|head| *head >= heads) {
        return Err(input(format!("--head {head}: {} has the heads 0 to {}", run.model.name, heads - 1)));
    }
    let prepared = Prepared::new(run.clone(), &model)?;
    let items = prepared.prompts.len();
    if args.item >= items {
        return Err(input(format!("--item {}: there are {items} items, 0 to {}", args.item, items - 1)));
    }
    eprintln!("loading {} ({})", run.model.name, run.model.path.display());
    let decoder = Transformer::load(model.checkpoint()?, experiment.dtype)?;
    let seen = seen(&decoder, &model, &prepared, &run, [args.item, args.layer], head)?;
    let name = format!(
        "attention-{}-item{}-layer{}-{}",
        run.model.name.replace('/', "--"),
        args.item,
        args.layer,
        head.map_or("mean".into(), |head| format!("head{head}"))
    );
    let rows: Vec<_> = seen.rows().collect();
    write(&args.out, &name, &seen.image()?, &rows)
}

fn seen(
    decoder: &Transformer,
    model: &OpenModel,
    prepared: &Prepared,
    run: &Run,
    [item, layer]: [usize; 2],
    head: Option<usize>,
) -> Result<Seen> {
    let (prompt, cell) = (&prepared.prompts[item], run.cells[0]);
    let plan = prepared.plan(cell, prompt);
    let positions: Vec<usize> = (0..prompt.tokens.len()).collect();
    let mut entering: Option<Matrix> = match layer {
        0 => Some(decoder.embed(&prompt.tokens, &positions)?),
        _ => None,
    };
    Plain::new(decoder, &plan, prompt.tokens.len()).feed(&prompt.tokens, |at, states| {
        if at + 1 == layer {
            entering = Some(states.clone());
        }
    })?;
    let entering = entering.context("a layer was left out")?;
    let all = decoder.attention(layer, &entering, plan.at(layer))?;
    let n = positions.len();
    let weights = (0..n).map(|row| match head {
        Some(head) => all[head].row(row).to_vec(),
        None => {
            let mean =
                |column: usize| all.iter().map(|head| head.row(row)[column]).sum::<f32>() / all.len() as f32;
            (0..n).map(mean).collect()
        }
    });
    let segments = &prompt.segments;
    let named = [
        ("bos", &segments.bos),
        ("opening", &segments.opening),
        ("instructions", &segments.instructions),
        ("examples", &segments.examples),
        ("query", &segments.query),
        ("closing", &segments.closing),
    ];
    let treated = match cell.mask {
        Treatment::None => "nothing hidden".into(),
        Treatment::Ablation => format!("layer {} without attention", cell.from_layer),
        mask => format!("{mask} from layer {}", cell.from_layer),
    };
    let head = head.map_or("mean over heads".into(), |head| format!("head {head}"));
    Ok(Seen {
        title: format!("{}, layer {layer}, {head}, {treated}", run.model.name),
        weights: weights.collect(),
        tokens: prompt.tokens.iter().map(|token| model.tokenizer.token_text(*token)).collect(),
        segments: named.map(|(name, range)| (name.into(), range.clone())).to_vec(),
        hidden: plan.at(layer).clone(),
    })
}
