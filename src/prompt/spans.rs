//! Names of stretches of a prompt: segments, single demonstrations, their inputs and outputs, spans and columns that a format
//! names, and the rows that choose tokens.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::choice::is_space;
use super::marked::{Mark, Part, Place};
use super::{Prompt, Segments};

/// A stretch within a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Where it is.
    pub place: Place,
    /// What it is there.
    pub part: Part,
    /// Its tokens.
    pub tokens: Range<usize>,
}

/// A name for some of a prompt's tokens, or for those after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanName {
    /// A whole segment.
    Segment(&'static str),
    /// The parts of some places: of the instructions, of all examples or one of them, of the query; without a place, of all.
    Parts(Where, Which),
    /// The row that chooses the first generated token: the last of the prompt.
    Last,
    /// Tokens that are generated.
    Generated,
    /// `last` and `generated`: all rows that choose a token.
    Choosing,
}

/// Places of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Where {
    /// All of them.
    Anywhere,
    /// The header.
    Instructions,
    /// Every demonstration.
    Examples,
    /// The demonstration of this number, from 0.
    Example(usize),
    /// The query.
    Query,
}

/// Parts of places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// All of it.
    Whole,
    /// Sources.
    Inputs,
    /// Targets.
    Outputs,
    /// What is neither source nor target.
    Delimiters,
    /// A span or a column of this name.
    Named(String),
}

/// A word that names no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a span")]
pub struct BadSpan(pub String);

/// The segments' names.
const SEGMENTS: [&str; 6] = ["bos", "opening", "instructions", "examples", "query", "closing"];

/// Words that mean something already: no span or column that a format names can be called so.
pub const TAKEN: [&str; 18] = [
    "bos",
    "opening",
    "instructions",
    "examples",
    "query",
    "closing",
    "input",
    "inputs",
    "output",
    "outputs",
    "delimiters",
    "last",
    "generated",
    "choosing",
    "source",
    "target",
    "all",
    "none",
];

/// Whether a format may call a span or a column so.
pub fn is_name(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TAKEN.contains(&word)
}

impl FromStr for SpanName {
    type Err = BadSpan;

    fn from_str(word: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(word.into());
        match word {
            "last" => return Ok(Self::Last),
            "generated" => return Ok(Self::Generated),
            "choosing" => return Ok(Self::Choosing),
            _ => {}
        }
        if let Some(segment) = SEGMENTS.into_iter().find(|segment| *segment == word) {
            return Ok(Self::Segment(segment));
        }
        let (place, part) = word.split_once('.').map_or((word, None), |(place, part)| (place, Some(part)));
        let number = place.strip_prefix("examples[").and_then(|rest| rest.strip_suffix(']'));
        let place = match (place, number) {
            ("instructions", _) => Where::Instructions,
            ("examples", _) => Where::Examples,
            ("query", _) => Where::Query,
            (_, Some(number)) => Where::Example(number.parse().map_err(|_| bad())?),
            (name, None) if part.is_none() && is_name(name) => {
                return Ok(Self::Parts(Where::Anywhere, Which::Named(name.into())));
            }
            _ => return Err(bad()),
        };
        let which = match part {
            None => Which::Whole,
            Some("input" | "inputs") => Which::Inputs,
            Some("output" | "outputs") => Which::Outputs,
            Some("delimiters") => Which::Delimiters,
            Some(name) if is_name(name) => Which::Named(name.into()),
            Some(_) => return Err(bad()),
        };
        Ok(Self::Parts(place, which))
    }
}

impl fmt::Display for SpanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, which) = match self {
            Self::Segment(name) => return f.write_str(name),
            Self::Last => return f.write_str("last"),
            Self::Generated => return f.write_str("generated"),
            Self::Choosing => return f.write_str("choosing"),
            Self::Parts(place, which) => (place, which),
        };
        let several = matches!(place, Where::Examples);
        match place {
            Where::Anywhere => {}
            Where::Instructions => f.write_str("instructions")?,
            Where::Examples => f.write_str("examples")?,
            Where::Example(number) => write!(f, "examples[{number}]")?,
            Where::Query => f.write_str("query")?,
        }
        let dot = if *place == Where::Anywhere { "" } else { "." };
        match which {
            Which::Whole => Ok(()),
            Which::Inputs if several => write!(f, "{dot}inputs"),
            Which::Inputs => write!(f, "{dot}input"),
            Which::Outputs if several => write!(f, "{dot}outputs"),
            Which::Outputs => write!(f, "{dot}output"),
            Which::Delimiters => write!(f, "{dot}delimiters"),
            Which::Named(name) => write!(f, "{dot}{name}"),
        }
    }
}

impl Where {
    fn holds(self, place: Place) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Instructions => place == Place::Instructions,
            Self::Examples => matches!(place, Place::Example(_)),
            Self::Example(number) => place == Place::Example(number),
            Self::Query => place == Place::Query,
        }
    }
}

impl Prompt {
    /// The positions that a name means in this prompt; those of generated tokens follow the prompt's. `None` where the prompt has
    /// no such thing.
    pub fn positions(&self, name: &SpanName) -> Option<Vec<Range<usize>>> {
        let n = self.tokens.len();
        let (place, which) = match name {
            SpanName::Last => return Some(vec![n - 1..n]),
            SpanName::Generated => return Some(vec![n..usize::MAX]),
            SpanName::Choosing => return Some(vec![n - 1..usize::MAX]),
            SpanName::Segment(segment) => {
                let named = self.segments.named();
                return named
                    .into_iter()
                    .find(|(name, _)| name == segment)
                    .map(|(_, range)| vec![range.clone()]);
            }
            SpanName::Parts(place, which) => (*place, which),
        };
        let of = |wanted: &dyn Fn(&Part) -> bool| -> Vec<Range<usize>> {
            let stretches = self.stretches.iter().filter(|one| place.holds(one.place) && wanted(&one.part));
            stretches.map(|stretch| stretch.tokens.clone()).collect()
        };
        let whole = || match place {
            Where::Instructions => vec![self.segments.instructions.clone()],
            Where::Examples => vec![self.segments.examples.clone()],
            Where::Query => vec![self.segments.query.clone()],
            Where::Example(_) | Where::Anywhere => of(&|part| *part == Part::Whole),
        };
        let found = match which {
            Which::Whole => whole(),
            Which::Inputs => of(&|part| *part == Part::Input),
            Which::Outputs => of(&|part| *part == Part::Output),
            Which::Named(name) => of(&|part| matches!(part, Part::Named(known) if known == name)),
            Which::Delimiters => {
                let inner = of(&|part| *part != Part::Whole);
                whole().into_iter().flat_map(|whole| without(whole, &inner)).collect()
            }
        };
        (!found.is_empty()).then_some(found)
    }

    /// Every name that means something in this prompt, with what it means; generated tokens aside.
    pub fn names(&self) -> Vec<(SpanName, Vec<Range<usize>>)> {
        let segments = self.segments.named().map(|(name, range)| (name, !range.is_empty()));
        let mut names: Vec<SpanName> = segments
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(name, _)| SpanName::Segment(name))
            .collect();
        let mut add = |name: SpanName| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        for Stretch { place, part, .. } in &self.stretches {
            let place = match place {
                Place::Instructions => vec![Where::Instructions],
                Place::Example(number) => vec![Where::Examples, Where::Example(*number)],
                Place::Query => vec![Where::Query],
            };
            for place in place {
                match part {
                    // The segments are named already.
                    Part::Whole if !matches!(place, Where::Example(_)) => {}
                    Part::Whole => add(SpanName::Parts(place, Which::Whole)),
                    Part::Input => add(SpanName::Parts(place, Which::Inputs)),
                    Part::Output => add(SpanName::Parts(place, Which::Outputs)),
                    Part::Named(name) => {
                        add(SpanName::Parts(Where::Anywhere, Which::Named(name.clone())));
                        add(SpanName::Parts(place, Which::Named(name.clone())));
                    }
                }
                if place != Where::Instructions {
                    add(SpanName::Parts(place, Which::Delimiters));
                }
            }
        }
        add(SpanName::Last);
        names.into_iter().filter_map(|name| self.positions(&name).map(|ranges| (name, ranges))).collect()
    }
}

/// A range without others.
fn without(whole: Range<usize>, others: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut rest = vec![whole];
    for other in others {
        rest = rest
            .into_iter()
            .flat_map(|range| {
                let (start, end) =
                    (other.start.clamp(range.start, range.end), other.end.clamp(range.start, range.end));
                [range.start..start, end..range.end]
            })
            .filter(|range| !range.is_empty())
            .collect();
    }
    rest
}

/// The tokens of marked bytes. A token belongs to the mark that holds its first letter: tokens often begin with the space before a
/// word. It stays within its segment.
pub fn stretches(text: &str, spans: &[Range<usize>], segments: &Segments, marks: &[Mark]) -> Vec<Stretch> {
    let letter = |span: &Range<usize>| {
        // Tokens may part a letter's bytes.
        let bytes = text.as_bytes().get(span.clone()).unwrap_or_default();
        let whole = std::str::from_utf8(bytes)
            .unwrap_or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default());
        let spaces = whole.len() - whole.trim_start_matches(is_space).len();
        if spaces < bytes.len() { span.start + spaces } else { span.start }
    };
    let stretch = |mark: &Mark| {
        let homes = match mark.place {
            Place::Instructions => vec![&segments.instructions],
            Place::Example(_) => vec![&segments.examples],
            // What the format writes before an answer follows the examples where the query comes first.
            Place::Query => vec![&segments.query, &segments.closing],
        };
        homes.into_iter().find_map(|segment| {
            let within = &spans[segment.clone()];
            let until = |byte: usize| segment.start + within.partition_point(|span| letter(span) < byte);
            let tokens = until(mark.range.start)..until(mark.range.end);
            let stretch = Stretch { place: mark.place, part: mark.part.clone(), tokens };
            (!stretch.tokens.is_empty()).then_some(stretch)
        })
    };
    marks.iter().filter_map(stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_back_as_they_are_read() {
        for word in [
            "bos",
            "instructions",
            "examples",
            "examples.inputs",
            "examples.outputs",
            "examples[2]",
            "examples[2].output",
            "examples.delimiters",
            "query",
            "query.input",
            "last",
            "generated",
            "choosing",
            "document",
            "examples.document",
            "query.document",
            "instructions.persona",
        ] {
            assert_eq!(word.parse::<SpanName>().map(|name| name.to_string()), Ok(word.into()));
        }
        assert_eq!("examples.output".parse::<SpanName>().expect("one").to_string(), "examples.outputs");
        for word in [
            "",
            "examples[",
            "examples[x]",
            "examples[-1]",
            "examples.",
            "query.last",
            "a b",
            "examples[0][1]",
            "all",
            "target",
            "document.x",
        ] {
            assert_eq!(word.parse::<SpanName>(), Err(BadSpan(word.into())));
        }
    }

    #[test]
    fn a_token_belongs_to_the_mark_of_its_first_letter() {
        // Q|:| an| app|le|\n
        let text = "Q: an apple\n";
        let spans = [0..1, 1..2, 2..5, 5..9, 9..11, 11..12];
        let segments = Segments {
            bos: 0..0,
            opening: 0..0,
            instructions: 0..0,
            examples: 0..0,
            query: 0..6,
            closing: 0..0,
        };
        let mark = |part, range| Mark { place: Place::Query, part, range };
        let marks = [mark(Part::Input, 3..11), mark(Part::Whole, 0..12), mark(Part::Output, 5..5)];
        let found = stretches(text, &spans, &segments, &marks);
        let tokens: Vec<Range<usize>> = found.into_iter().map(|stretch| stretch.tokens).collect();
        assert_eq!(tokens, [2..5, 0..6]);
    }

    #[test]
    fn what_others_leave_is_left() {
        assert_eq!(without(2..10, &[0..3, 5..6, 6..7]), [3..5, 7..10]);
        assert_eq!(without(2..10, &[]), [2..10]);
        assert!(without(2..10, &[0..20]).is_empty());
    }
}
