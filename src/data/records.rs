//! Records of a CSV text, as Python's `csv` reads them with `strict=True`.
//!
//! The crate `csv` writes our tables, but it reads a quote that is never closed as a field up to the end of the file, and
//! text behind a closing quote as part of the field. Either would shift rows without a word, so both are refused here.

/// A record and the line, counted from 1, on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub line: usize,
    pub fields: Vec<String>,
}

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub line: usize,
    pub what: &'static str,
}

/// What parts the fields, by the first line: a comma, or where it has none a semicolon, or a tab.
pub(super) fn separator(text: &str) -> char {
    let header = text.lines().next().unwrap_or_default();
    [',', ';', '\t'].into_iter().find(|separator| header.contains(*separator)).unwrap_or(',')
}

/// All records. A field in quotes may hold separators, line ends and doubled quotes.
pub(super) fn read(text: &str, separator: char) -> Result<Vec<Record>, Wrong> {
    let mut reader = Reader { rest: text, line: 1, separator };
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        records.push(reader.record()?);
    }
    Ok(records)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    separator: char,
}

impl Reader<'_> {
    fn record(&mut self) -> Result<Record, Wrong> {
        let (line, mut fields) = (self.line, Vec::new());
        loop {
            fields.push(match self.rest.strip_prefix('"') {
                Some(rest) => {
                    self.rest = rest;
                    self.quoted()?
                }
                None => self.plain(),
            });
            let Some(next) = self.rest.chars().next() else { break };
            self.rest = &self.rest[next.len_utf8()..];
            match next {
                separator if separator == self.separator => (),
                '\n' => break,
                '\r' if self.rest.starts_with('\n') => {
                    self.rest = &self.rest[1..];
                    break;
                }
                '\r' => {
                    return Err(self.wrong(
                        "has a carriage return inside; save the file with LF or CRLF line ends, or put the field in quotes",
                    ));
                }
                _ => {
                    return Err(
                        self.wrong("has text behind a closing quote; double the quotes within a field")
                    );
                }
            }
        }
        self.line += 1;
        if fields.iter().all(|field| field.trim().is_empty()) && fields.len() == 1 {
            return Err(Wrong { line, what: "is empty; give it text or remove it" });
        }
        Ok(Record { line, fields })
    }

    /// Up to the next separator or line end.
    fn plain(&mut self) -> String {
        let ends = |c: char| c == self.separator || c == '\n' || c == '\r';
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        field.into()
    }

    /// Up to the closing quote, which is taken.
    fn quoted(&mut self) -> Result<String, Wrong> {
        let (begun, mut field) = (self.line, String::new());
        loop {
            let Some((text, rest)) = self.rest.split_once('"') else {
                return Err(Wrong { line: begun, what: "opens a quote that is never closed; close it" });
            };
            self.line += text.matches('\n').count();
            field.push_str(text);
            match rest.strip_prefix('"') {
                Some(rest) => {
                    field.push('"');
                    self.rest = rest;
                }
                None => {
                    self.rest = rest;
                    return Ok(field);
                }
            }
        }
    }

    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { line: self.line, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        read(text, separator(text)).unwrap().into_iter().map(|record| record.fields).collect()
    }

    /// `list(csv.reader(io.StringIO(text, newline=""), strict=True))` of Python 3.11, with `delimiter=";"` and `"\t"` where the
    /// header has these.
    #[test]
    fn quotes_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("a,b\n1,2\n", &[&["a", "b"][..], &["1", "2"]][..]),
            ("a,b\r\n\"x, y\",\"say \"\"hi\"\"\"\r\n", &[&["a", "b"], &["x, y", "say \"hi\""]]),
            ("a,b\n\"one\ntwo\",c\nlast,\"\"", &[&["a", "b"], &["one\ntwo", "c"], &["last", ""]]),
            ("a,b\nx \"quoted\" y, \"z\"\n", &[&["a", "b"], &["x \"quoted\" y", " \"z\""]]),
            ("a;b\nx, y;z\n", &[&["a", "b"], &["x, y", "z"]]),
            ("a\tb\nx, y;z\t1\n", &[&["a", "b"], &["x, y;z", "1"]]),
            ("a,b\n,\n", &[&["a", "b"], &["", ""]]),
        ] {
            assert_eq!(fields(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        for (text, line, what) in [
            ("a,b\n\"x\"y,z\n", 2, "has text behind a closing quote"),
            ("a,b\n1,2\n3,\"4\n5,6\n", 3, "opens a quote that is never closed"),
            ("a,b\n\"1\n2\",3\n\n4,5\n", 4, "is empty"),
            ("a,b\n1\r2,3\n", 2, "has a carriage return inside"),
        ] {
            let wrong = read(text, ',').unwrap_err();
            assert_eq!((wrong.line, wrong.what.starts_with(what)), (line, true), "{wrong:?}");
        }
    }

    #[test]
    fn a_record_is_known_by_its_first_line() {
        let records = read("a,b\n\"x\n\n\",1\ny,2\n", ',').unwrap();
        assert_eq!(records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 2, 5]);
    }
}
