//! `figure`: results, or one look into a model, as SVG, PDF, PNG and CSV.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;

use super::look::attention;
use super::wrapped;
use crate::cli::{CurvesArgs, FigureArgs, FigureKind, SelectionArgs, StyleArgs};
use crate::console::{note, say, say_json};
use crate::engine::check_interrupted;
use crate::error::{input, suggest};
use crate::figure::{
    Axis, Image, Names, Saved, Style, curves, names, plain, rows, savings, titles, with_ending,
};
use crate::mask::{Kind, Treatment};
use crate::results::{Metric, Settings, check_place};
use crate::stats::{Curve, Panel, StoredRun, Study, find_runs};
use crate::together::Together;

/// Draw.
pub fn figure(args: FigureArgs) -> Result<()> {
    match args.kind {
        FigureKind::Masks(args) => {
            let study = study(&args.selection, false, |mask| mask.kind() == Kind::Masks)?;
            draw_curves(&study, &args, "masks")
        }
        FigureKind::Lora(args) => {
            let mut study = study(&args.selection, false, |mask| mask.kind() != Kind::Ablation)?;
            beside_adapters(&mut study)?;
            draw_curves(&study, &args, "lora")
        }
        FigureKind::Ablation(args) => {
            let study = study(&args.selection, false, |mask| mask.kind() == Kind::Ablation)?;
            draw_curves(&study, &args, "ablation")
        }
        FigureKind::Savings(args) => {
            let study = study(&args, true, |mask| mask.kind() == Kind::Masks)?;
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
fn study(args: &SelectionArgs, timed: bool, kind: impl Fn(Treatment) -> bool) -> Result<Study> {
    let masks: Vec<Treatment> = args
        .mask
        .iter()
        .map(|word| word.parse().map_err(|error| input(format!("--mask: {error}"))))
        .collect::<Result<_>>()?;
    check_out(&args.out)?;
    let runs = read_runs(&args.results, args.metric.as_deref())?;
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
        let there = runs.iter().flat_map(|run| &run.cells).any(|cell| cell.record.mask == *mask);
        if !there {
            return Err(input(format!("--mask {mask}: no run has it; known: {}", masks_of(&runs))));
        }
    }
    let wanted = |mask: Treatment| kind(mask) && (masks.is_empty() || masks.contains(&mask));
    let study = Study::new(runs, |key| wanted(key.mask))?;
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
    let masks = runs.iter().flat_map(|run| &run.cells).map(|cell| cell.record.mask.to_string());
    masks.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// Curves of adapters, and those of masks beside them that are of the same model and languages.
///
/// # Errors
/// There is none of adapters.
fn beside_adapters(study: &mut Study) -> Result<()> {
    let of = |panel: &Panel| (panel.settings.model.clone(), panel.settings.direction.clone());
    let adapted = study.panels.iter().filter(|panel| panel.kind() == Kind::Lora);
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
    let metric: Option<Metric> = metric.map(str::parse).transpose()?;
    let folders = find_runs(paths)?;
    let runs: Vec<StoredRun> =
        folders.par_iter().map(|folder| StoredRun::read(folder, metric)).collect::<Result<_>>()?;
    for run in &runs {
        let (asked, finished) = (run.manifest.asked_for().count(), run.cells.len());
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

/// How a figure of these models is to look.
///
/// # Errors
/// A name for none of them, or letters of an absurd size.
pub fn style<'a>(args: &StyleArgs, models: impl Iterator<Item = &'a str>) -> Result<Style> {
    let names = display_names(&args.name, models)?;
    if !SIZES.contains(&args.font_size) {
        let [least, most] = [SIZES.start(), SIZES.end()];
        return Err(input(format!("--font-size {}: give {least} to {most} pixels", args.font_size)));
    }
    Ok(Style {
        width: args.width.map(f64::from),
        font: args.font_size,
        title: args.title.clone(),
        svg_text: args.svg_text,
        names,
    })
}

/// Letters that can be read, and leave room for something else.
const SIZES: RangeInclusive<f64> = 5.0..=48.0;

/// `MODEL=TEXT`, as `--name` gives them.
///
/// # Errors
/// A word of another form, a model that is not there, one that is named twice.
pub fn display_names<'a>(words: &[String], models: impl Iterator<Item = &'a str>) -> Result<Names> {
    let mut there: Vec<&str> = models.collect();
    there.sort_unstable();
    there.dedup();
    let mut names = Names::default();
    for word in words {
        let Some((model, text)) = word.split_once('=').filter(|(_, text)| !text.trim().is_empty()) else {
            let model = there.first().copied().unwrap_or("MODEL");
            return Err(input(format!("--name `{word}`: write MODEL=TEXT, such as {model}=\"My model\"")));
        };
        named("name", &[model.into()], there.iter().copied())?;
        if names.0.insert(model.into(), text.into()).is_some() {
            return Err(input(format!("--name: `{model}` is named twice")));
        }
    }
    let shown = |model: &&str| names.of(model).to_string();
    let twin =
        there.iter().find(|model| there.iter().any(|other| other != *model && shown(other) == shown(model)));
    match twin {
        Some(model) => Err(input(format!("--name: two models would be called `{}`", shown(model)))),
        None => Ok(names),
    }
}

/// The folder that is written to must be one, where it is there.
pub fn check_out(out: &Path) -> Result<()> {
    check_place(out, "--out")
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
    if panel.kind() == Kind::Masks {
        text += ": brackets mark what is hidden";
    }
    if let Some(too_short) = panel.too_short {
        text += &format!("\n  {too_short}");
    }
    for (curve, name) in panel.curves.iter().zip(names(panel)) {
        text += &format!("\n  {}{}", plain(&name), incomplete(panel, curve));
        for found in &curve.recognised {
            let sentence = format!("    {}", found.sentence(&curve.key, panel.n_layers, first));
            text += &format!("\n{}", wrapped(&sentence, "      "));
        }
    }
    text
}

/// What is saved layer by layer, and where the task is recognised by runs of the same prompts that were not timed; layers
/// counted from `first`.
fn savings_text(study: &Study, saved: &[Saved], first: usize) -> String {
    let mut lines = Vec::new();
    for curve in saved.chunk_by(|a, b| (a.panel, &a.key) == (b.panel, &b.key)) {
        let panel = &study.panels[curve[0].panel];
        lines.push(format!("{}, {}", curve[0].title, curve[0].key.mask));
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
        _ if curve.key.mask.kind() != Kind::Masks => String::new(),
        None => ": there is no baseline to compare with".into(),
        Some(_) if curve.points.len() < n_layers => {
            format!(": {} of {n_layers} layers finished", curve.points.len())
        }
        Some(_) if curve.recognised.is_empty() => ": not the same seeds at every layer".into(),
        Some(_) => String::new(),
    }
}

/// `<out>/<name>.svg`, `.pdf`, `.png` and `.csv`.
pub fn write(out: &Path, name: &str, image: &Image, rows: &[impl Serialize]) -> Result<()> {
    check_interrupted()?;
    let base = out.join(name);
    let csv = with_ending(&base, "csv");
    // Drawing and numbers are of the same results, whenever this is killed.
    let mut files = Together::within(out)?;
    let [svg, pdf, png] = image.write(Path::new(name), &mut files)?;
    files.write(&with_ending(Path::new(name), "csv"), |out| write_csv(out, rows))?;
    files.publish()?;
    let [svg, pdf, png] = [svg, pdf, png].map(|name| out.join(name));
    note(format!("{}, {}, {}, {}", svg.display(), pdf.display(), png.display(), csv.display()));
    Ok(())
}

/// Cells of text that a spreadsheet would compute begin with an apostrophe there.
fn write_csv(out: &mut dyn Write, rows: &[impl Serialize]) -> Result<()> {
    let mut plain = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| plain.serialize(row))?;
    let plain = plain.into_inner().map_err(|error| error.into_error())?;
    let mut safe = csv::Writer::from_writer(out);
    for record in csv::ReaderBuilder::new().has_headers(false).from_reader(plain.as_slice()).records() {
        safe.write_record(record?.iter().map(harmless))?;
    }
    Ok(safe.flush()?)
}

/// A cell that no spreadsheet takes for a formula. Numbers stay as they are.
fn harmless(cell: &str) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err() {
        true => format!("'{cell}"),
        false => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_formulas_and_formulas_no_cells() {
        for cell in ["", "-0.25", "-1e-7", "+3", "-inf", "NaN", "TTF", "a=b", "'=1", "0:1.5 1:-2"] {
            assert_eq!(harmless(cell), cell);
        }
        for cell in ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "-", "@SUM(A1)", "\t=1", "\r=1", "=", "-1:2"] {
            assert_eq!(harmless(cell), format!("'{cell}"));
        }
    }

    #[test]
    fn a_table_keeps_its_cells() {
        #[derive(Serialize)]
        struct Row {
            text: &'static str,
            number: f64,
            none: Option<f64>,
        }
        let rows = [
            Row { text: "=HYPERLINK(\"x\",\"y\")", number: -0.1, none: None },
            Row { text: "a, \"b\"\nc", number: 1.0, none: Some(f64::NAN) },
        ];
        let mut csv = Vec::new();
        write_csv(&mut csv, &rows).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "text,number,none\n\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\",-0.1,\n\"a, \"\"b\"\"\nc\",1.0,NaN\n"
        );
    }
}
