//! What verbs write and print alike: figures with their numbers, ranges of layers.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::base::console::note;
use crate::base::error::{input, suggest};
use crate::base::files::check_place;
use crate::base::interrupt::check_interrupted;
use crate::base::together::Together;
use crate::cli::StyleArgs;
use crate::figure::{DisplayNames, Image, Style, with_ending};

/// The folder that is written to must be one, where it is there.
pub fn check_out(out: &Path) -> Result<()> {
    check_place(out, "--out")
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
pub fn display_names<'a>(words: &[String], models: impl Iterator<Item = &'a str>) -> Result<DisplayNames> {
    let mut there: Vec<&str> = models.collect();
    there.sort_unstable();
    there.dedup();
    let mut names = DisplayNames::default();
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

/// Each name that is asked for must be there.
pub fn named<'a>(flag: &str, asked: &[String], there: impl Iterator<Item = &'a str>) -> Result<()> {
    let there: Vec<&str> = there.collect();
    match asked.iter().find(|name| !there.contains(&name.as_str())) {
        Some(name) => Err(input(format!("--{flag}: no run of `{name}`; {}", suggest(name, &there)))),
        None => Ok(()),
    }
}

/// `layer 7`, or `layers 0..4, 7`.
pub fn named_layers(numbers: &BTreeSet<usize>) -> String {
    format!("layer{} {}", if numbers.len() == 1 { "" } else { "s" }, ranges(numbers))
}

/// `0..4, 7`
pub fn ranges(numbers: &BTreeSet<usize>) -> String {
    let numbers: Vec<usize> = numbers.iter().copied().collect();
    let range = |some: &[usize]| match some {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}..{last}"),
        [] => String::new(),
    };
    numbers.chunk_by(|a, b| a + 1 == *b).map(range).collect::<Vec<_>>().join(", ")
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
    fn layers_in_a_row_are_one_range() {
        let ranges = |numbers: &[usize]| ranges(&numbers.iter().copied().collect());
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0..2, 5, 7..8");
        assert_eq!(ranges(&[]), "");
    }

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
        struct ListRow {
            text: &'static str,
            number: f64,
            none: Option<f64>,
        }
        let rows = [
            ListRow { text: "=HYPERLINK(\"x\",\"y\")", number: -0.1, none: None },
            ListRow { text: "a, \"b\"\nc", number: 1.0, none: Some(f64::NAN) },
        ];
        let mut csv = Vec::new();
        write_csv(&mut csv, &rows).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "text,number,none\n\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\",-0.1,\n\"a, \"\"b\"\"\nc\",1.0,NaN\n"
        );
    }
}
