//! Text files, a line at a time: the one place where encodings and line endings are dealt with.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::base::error::{absent, input};
use crate::base::inputs::{self, MOST_TEXT, Trouble};

/// A line longer than this (in bytes) is not text of a corpus: without a limit, a binary file without line ends
/// would be read whole before anyone is told.
const LONGEST_LINE: u64 = 16 << 20;

/// Reads the lines of a UTF-8 file in order, unpacked if it is gzip ([`inputs::reader`]). Line ends (LF or CRLF) and a byte order
/// mark are taken off; nothing else is changed.
pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    number: usize,
    bytes: u64,
}

impl Lines {
    /// Opens a file. `advice` ends the sentence if it is missing: `run ...`, `check ...`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) if the file does not exist or is no regular file.
    pub fn open(path: &Path, advice: &str) -> Result<Lines> {
        let reader = inputs::reader(path).map_err(|trouble| unreadable(trouble, path, advice))?;
        Ok(Lines { reader, path: path.to_path_buf(), number: 0, bytes: 0 })
    }

    /// The number, counted from 1, of the line that was read last (0 before the first).
    pub fn number(&self) -> usize {
        self.number
    }

    /// `FILE:LINE` of the line that was read last: the beginning of a sentence about it.
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.number)
    }

    /// The next line, or `None` at the end of the file.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) with file and line if the line is empty, not UTF-8, overlong
    /// or has a carriage return inside; another error if the disk fails.
    pub fn next_line(&mut self) -> Result<Option<String>> {
        let mut bytes = Vec::new();
        let limited = &mut self.reader.by_ref().take(LONGEST_LINE);
        if let Err(error) = limited.read_until(b'\n', &mut bytes) {
            if inputs::is_damage(&error) {
                self.number += 1;
                return Err(self.refuse(&format!("cannot be unpacked ({error}); fetch the file again")));
            }
            return Err(error).with_context(|| format!("cannot read {}", self.path.display()));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST_TEXT {
            return Err(self.refuse("is beyond the first 2 GiB of text; leave the lines that are needed"));
        }
        if bytes.len() as u64 == LONGEST_LINE {
            return Err(self.refuse("is longer than 16 MiB; is this a text file?"));
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        self.decode(bytes).map(Some)
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<String> {
        let line = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            self.refuse(&format!(
                "is not UTF-8 (byte {at} of the line); convert the file, for example with iconv"
            ))
        })?;
        if line.trim().is_empty() {
            return Err(
                self.refuse("is empty; give it text or remove it (on both sides of a parallel corpus)")
            );
        }
        if line.contains('\r') {
            return Err(self.refuse("has a carriage return inside; save the file with LF or CRLF line ends"));
        }
        Ok(line)
    }

    /// An input error about the line that was read last.
    pub fn refuse(&self, what: &str) -> anyhow::Error {
        input(format!("{} {what}", self.place()))
    }
}

/// The sentence about a corpus' file that cannot be read; `advice` ends it if it is missing.
pub(super) fn unreadable(trouble: Trouble, path: &Path, advice: &str) -> anyhow::Error {
    let shown = path.display();
    match trouble {
        Trouble::Folder => input(format!("{shown} is a folder, not a file; {advice}")),
        Trouble::Damaged(error) => {
            input(format!("{shown}:1 cannot be unpacked ({error}); fetch the file again"))
        }
        missing if missing.is_missing() => absent(format!("the file {shown} does not exist; {advice}")),
        Trouble::System(error) => anyhow::Error::from(error).context(format!("cannot open {shown}")),
        other => other.about(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, content).unwrap();
        let mut lines = Lines::open(&path, "check it")?;
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            all.push(line);
        }
        Ok(all)
    }

    #[test]
    fn byte_order_mark_and_crlf_are_taken_off_and_nothing_else() {
        assert_eq!(
            read(b"\xEF\xBB\xBFone \r\n\ttwo\xE2\x80\xA8x\nthree").unwrap(),
            ["one ", "\ttwo\u{2028}x", "three"]
        );
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn bad_lines_are_refused_with_file_and_line() {
        for (content, what) in [
            (&b"one\n\nthree\n"[..], "text:2 is empty"),
            (b"one\n \t\n", "text:2 is empty"),
            (b"one\n\r\n", "text:2 is empty"),
            (b"one\nab\xFF\n", "text:2 is not UTF-8 (byte 3 of the line)"),
            (b"\xFF\xFEo\0n\0", "text: cannot be read (it is UTF-16, not UTF-8"),
            (b"one\rtwo\rthree", "text:1 has a carriage return inside"),
        ] {
            let message = read(content).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        }
        assert!(
            read(&vec![b'x'; 17 << 20]).unwrap_err().to_string().contains("text:1 is longer than 16 MiB")
        );
    }

    #[test]
    fn a_missing_file_or_a_folder_is_the_users_mistake() {
        let folder = tempfile::tempdir().unwrap();
        for (path, what) in
            [(folder.path().join("no"), "does not exist; check it"), (folder.path().into(), "is a folder")]
        {
            let error = Lines::open(&path, "check it").err().unwrap();
            assert!(error.downcast_ref::<crate::base::error::InputError>().is_some());
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
