//! Text that must fit: broken into lines, or shortened in the middle.

use anyhow::Result;

use super::image::width;
use super::svg::{TextPart, Type};

/// What stands for the middle that is left out.
const LEFT_OUT: char = '…';

/// A letter, and whether it belongs to something hidden.
type Letter = (char, bool);

/// The lines of a text that is to be no wider than `room` pixels. Broken at spaces and after punctuation, within a word only
/// where it is too wide by itself. Of a text that takes more than `most` lines the middle is left out.
///
/// # Errors
/// The text cannot be set.
pub fn wrap(parts: &[TextPart], how: Type, room: f64, most: usize) -> Result<Vec<Vec<TextPart>>> {
    let letters = letters(parts);
    let lines = broken(&letters, how, room)?;
    if lines.len() <= most {
        return Ok(lines);
    }
    // The most letters that fit: the number of lines grows with them.
    let (mut fits, mut fails) = (0, letters.len());
    while fails - fits > 1 {
        let kept = (fits + fails) / 2;
        match broken(&without_middle(&letters, kept), how, room)?.len() <= most {
            true => fits = kept,
            false => fails = kept,
        }
    }
    broken(&without_middle(&letters, fits), how, room)
}

/// A text on one line, its middle left out if it is too wide.
///
/// # Errors
/// The text cannot be set.
pub fn shortened(text: &str, how: Type, room: f64) -> Result<String> {
    let fits = |text: &str| Ok::<_, anyhow::Error>(width(&[TextPart::plain(text)], how)? <= room);
    if fits(text)? {
        return Ok(text.into());
    }
    let letters: Vec<Letter> = text.chars().map(|c| (c, false)).collect();
    let short = |kept: usize| without_middle(&letters, kept).iter().map(|(c, _)| *c).collect::<String>();
    let (mut least, mut most) = (0, letters.len());
    while most - least > 1 {
        let kept = (least + most) / 2;
        match fits(&short(kept))? {
            true => least = kept,
            false => most = kept,
        }
    }
    Ok(short(least))
}

fn letters(parts: &[TextPart]) -> Vec<Letter> {
    parts.iter().flat_map(|part| part.text.chars().map(|c| (c, part.hidden))).collect()
}

/// `kept` letters from both ends.
fn without_middle(letters: &[Letter], kept: usize) -> Vec<Letter> {
    let (begin, end) = (kept.div_ceil(2), kept / 2);
    let middle = [(LEFT_OUT, false)];
    [&letters[..begin], &middle, &letters[letters.len() - end..]].concat()
}

/// Letters of one kind side by side are one part.
fn parts(letters: &[Letter]) -> Vec<TextPart> {
    let run = |run: &[Letter]| TextPart { text: run.iter().map(|(c, _)| *c).collect(), hidden: run[0].1 };
    letters.chunk_by(|a, b| a.1 == b.1).map(run).collect()
}

/// Lines as long as they may be.
fn broken(letters: &[Letter], how: Type, room: f64) -> Result<Vec<Vec<TextPart>>> {
    let mut lines = Vec::new();
    let mut rest = letters;
    while !rest.is_empty() {
        let end = line_end(rest, how, room)?;
        lines.push(parts(trimmed(&rest[..end])));
        rest = &rest[end..];
        while rest.first().is_some_and(|(c, _)| *c == ' ') {
            rest = &rest[1..];
        }
    }
    Ok(lines)
}

fn trimmed(line: &[Letter]) -> &[Letter] {
    let end = line.iter().rposition(|(c, _)| *c != ' ').map_or(0, |last| last + 1);
    &line[..end]
}

/// Letters of the first line.
fn line_end(letters: &[Letter], how: Type, room: f64) -> Result<usize> {
    let fits = |end: usize| Ok::<_, anyhow::Error>(width(&parts(trimmed(&letters[..end])), how)? <= room);
    if fits(letters.len())? {
        return Ok(letters.len());
    }
    let (mut most, mut fails) = (1, letters.len());
    while fails - most > 1 {
        let end = (most + fails) / 2;
        match fits(end)? {
            true => most = end,
            false => fails = end,
        }
    }
    // A space may stand right behind the line. Within a word only where there is no better place.
    let place = (1..=most).rev().find(|&end| letters[end].0 == ' ' || letters[end - 1].0 == ' ');
    let inside = || (1..=most).rev().find(|&end| "-_/.,:".contains(letters[end - 1].0));
    Ok(place.or_else(inside).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, room: f64, most: usize) -> Vec<String> {
        let wrapped = wrap(&[TextPart::plain(text)], Type::new(10.), room, most).expect("can be set");
        wrapped.iter().map(|line| line.iter().map(|part| part.text.as_str()).collect()).collect()
    }

    #[test]
    fn every_line_fits_and_no_letter_is_lost() {
        let text = "a-model-with-quite-a-long-name_and_more, en-fr (nations): at most 16 new tokens, greedy";
        for room in [60., 120., 200., 2000.] {
            let lines = lines(text, room, 99);
            for line in &lines {
                let wide = width(&[TextPart::plain(line)], Type::new(10.)).expect("can be set");
                assert!(wide <= room, "{line}: {wide} of {room}");
            }
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
        assert_eq!(lines(text, 2000., 1), [text]);
        assert_eq!(lines("", 100., 2), Vec::<String>::new());
    }

    #[test]
    fn what_takes_too_many_lines_loses_its_middle() {
        let lines = lines(&format!("begin {} end", "x".repeat(500)), 100., 2);
        assert_eq!(lines.len(), 2);
        let all = lines.concat();
        assert!(all.starts_with("begin") && all.contains('…') && all.ends_with("end"), "{all}");
    }

    #[test]
    fn lines_above_what_is_hidden_stay() {
        let hidden = TextPart { text: "Instr, Ex".into(), hidden: true };
        let wrapped = wrap(&[hidden, TextPart::plain(" Query")], Type::new(10.), 40., 9).expect("can be set");
        let of = |line: usize| wrapped[line].iter().map(|part| part.hidden).collect::<Vec<_>>();
        assert_eq!((of(0), wrapped.last().map(|line| line[0].hidden)), (vec![true], Some(false)));
    }

    #[test]
    fn one_line_is_shortened_in_the_middle() {
        let how = Type::new(10.);
        let short = shortened(&"abcdefghij".repeat(20), how, 80.).expect("can be set");
        assert!(short.starts_with("abc") && short.ends_with("hij") && short.contains('…'), "{short}");
        assert_eq!(shortened("abc", how, 80.).expect("can be set"), "abc");
    }
}
