//! Files that the user gives: opened only if they are regular files, unpacked if they are gzip, read as UTF-8.
//!
//! Every reader of a user's file opens it here, so that a pipe never waits, a device never fills the memory, and a file of
//! another encoding is named as what it is.

use std::fs::{File, FileType};
use std::io::{BufRead, BufReader, Cursor, Error, ErrorKind, Read};
use std::path::Path;

use crate::base::error::input;

/// Bytes of text at most of a corpus, of hypotheses, of samples. A small packed file may hold any amount.
pub const MOST_TEXT: u64 = 2 << 30;

/// Bytes at most of a file of settings, a description of a model, a template.
pub const MOST_SETTINGS: u64 = 64 << 20;

/// Why a file cannot be read, as a clause about it.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The system refuses.
    #[error("{0}")]
    System(#[from] Error),
    /// It is a folder.
    #[error("it is a folder, not a file")]
    Folder,
    /// A pipe, a socket, a device.
    #[error("it is {0}, not a regular file; write what it holds to a file and give that")]
    Special(&'static str),
    /// Another kind of file than text.
    #[error("it is {0}; {1}")]
    Packed(&'static str, &'static str),
    /// Gzip that cannot be unpacked.
    #[error("it cannot be unpacked ({0}); fetch the file again")]
    Damaged(Error),
    /// Text in another encoding.
    #[error("it is {0}, not UTF-8; convert it, for example with `iconv -f {1} -t UTF-8`")]
    Encoding(&'static str, &'static str),
    /// Bytes that are not UTF-8.
    #[error("line {line} is not valid UTF-8 (byte {byte} of the line); convert it, for example with iconv")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        byte: usize,
    },
    /// More text than is read of such a file.
    #[error("it holds more than {} MiB of text; is it the right file?", .0 >> 20)]
    TooLong(u64),
}

impl Trouble {
    /// There is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == ErrorKind::NotFound)
    }

    /// An [`InputError`](crate::base::error::InputError) about the file, with its line where there is one.
    pub fn about(self, path: &Path) -> anyhow::Error {
        let path = path.display();
        match self {
            Self::NotUtf8 { line, byte } => input(format!(
                "{path}:{line}: not valid UTF-8 (byte {byte} of the line); convert it, for example with iconv"
            )),
            other => input(format!("{path}: cannot be read ({other})")),
        }
    }
}

/// What is neither file nor folder, by its type.
fn special(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    let _ = kind;
    "a special file"
}

/// Open a regular file. Anything else is refused before it is opened: opening a pipe waits for a writer.
///
/// # Errors
/// It is not there, not to be opened, or not a regular file.
pub fn open(path: &Path) -> Result<File, Trouble> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(Trouble::Folder);
    }
    if !kind.is_file() {
        return Err(Trouble::Special(special(kind)));
    }
    Ok(File::open(path)?)
}

/// The bytes of a regular file, as they are.
///
/// # Errors
/// As [`open`].
pub fn bytes(path: &Path) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A reader of the text of a file: unpacked if it is gzip (by its first bytes, or by its name, which ends in `.gz`), without
/// a byte order mark.
///
/// # Errors
/// As [`open`]; or the first bytes are those of another kind of file or another encoding.
pub fn reader(path: &Path) -> Result<Box<dyn BufRead + Send>, Trouble> {
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    decoded(open(path)?, packed)
}

/// Reads a whole file as text through [`reader`], and refuses a file that is longer than `most` bytes.
///
/// # Errors
/// As [`reader`]; or it is longer, damaged, or not UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String, Trouble> {
    whole(reader(path)?, most)
}

/// The text on standard input, likewise.
///
/// # Errors
/// As [`text`].
pub fn standard_input(most: u64) -> Result<String, Trouble> {
    whole(decoded(std::io::stdin(), false)?, most)
}

/// Whether reading failed because what is packed is damaged, and not by the disk.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

fn whole(reader: Box<dyn BufRead + Send>, most: u64) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Trouble::TooLong(most));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Trouble::NotUtf8 { line, byte: valid.len() - start + 1 }
    })
}

fn failed(error: Error) -> Trouble {
    if is_damage(&error) { Trouble::Damaged(error) } else { Trouble::System(error) }
}

/// Bytes that are looked at to know what a file is.
const HEAD: u64 = 6;

const GZIP: &[u8] = b"\x1f\x8b";

/// First bytes of files that people give as text, what they are, and what to do.
const PACKED: [(&[u8], &str, &str); 5] = [
    (b"BZh", "packed with bzip2", "unpack it, or pack it with gzip, first"),
    (b"\xfd7zXZ\0", "packed with xz", "unpack it, or pack it with gzip, first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it, or pack it with gzip, first"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet", "unpack it, or save it as CSV, first"),
    (
        b"PAR1",
        "a Parquet file",
        "let its name end in .parquet where rows of a table are read, or save it as JSONL",
    ),
];

/// Byte order marks of other encodings, the longer ones first.
const MARKS: [(&[u8], &str, &str); 4] = [
    (b"\xff\xfe\0\0", "UTF-32", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32", "UTF-32"),
    (b"\xff\xfe", "UTF-16", "UTF-16"),
    (b"\xfe\xff", "UTF-16", "UTF-16"),
];

fn decoded(raw: impl Read + Send + 'static, packed: bool) -> Result<Box<dyn BufRead + Send>, Trouble> {
    let (head, rest) = headed(BufReader::with_capacity(1 << 16, raw))?;
    if packed || head.starts_with(GZIP) {
        let unpacked = flate2::read::MultiGzDecoder::new(Cursor::new(head).chain(rest));
        let (head, rest) = headed(BufReader::with_capacity(1 << 16, unpacked)).map_err(failed)?;
        return as_text(head, rest);
    }
    as_text(head, rest)
}

/// The first bytes, which are taken from the reader.
fn headed<R: Read>(mut reader: R) -> Result<(Vec<u8>, R), Error> {
    let mut head = Vec::new();
    reader.by_ref().take(HEAD).read_to_end(&mut head)?;
    Ok((head, reader))
}

fn as_text(
    mut head: Vec<u8>,
    rest: impl BufRead + Send + 'static,
) -> Result<Box<dyn BufRead + Send>, Trouble> {
    if let Some((_, what, advice)) = PACKED.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return Err(Trouble::Packed(what, advice));
    }
    if let Some((_, name, code)) = MARKS.iter().find(|(mark, ..)| head.starts_with(mark)) {
        return Err(Trouble::Encoding(name, code));
    }
    match head[..] {
        [0, low, ..] if low != 0 => return Err(Trouble::Encoding("UTF-16", "UTF-16BE")),
        [high, 0, ..] if high != 0 => return Err(Trouble::Encoding("UTF-16", "UTF-16LE")),
        _ => (),
    }
    if head.starts_with(b"\xEF\xBB\xBF") {
        head.drain(..3);
    }
    Ok(Box::new(Cursor::new(head).chain(rest)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<String, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        text(&path, 1000)
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_mark_is_taken_off_and_gzip_is_unpacked() {
        assert_eq!(read("a", b"\xEF\xBB\xBFone\n").unwrap(), "one\n");
        assert_eq!(read("a", b"").unwrap(), "");
        assert_eq!(read("a", b"x").unwrap(), "x");
        // Two packed parts, one after the other, are one file.
        let both = [packed(b"\xEF\xBB\xBFone\n"), packed(b"two\n")].concat();
        assert_eq!(read("a.gz", &both).unwrap(), "one\ntwo\n");
        assert_eq!(read("without-a-name", &both).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn what_is_not_text_is_named() {
        for (name, content, says) in [
            ("a.gz", &b"no gzip"[..], "it cannot be unpacked"),
            ("a.gz", b"", "it cannot be unpacked"),
            ("a", b"\xff\xfeo\0n\0", "it is UTF-16, not UTF-8; convert it"),
            ("a", b"\xfe\xff\0o\0n", "it is UTF-16"),
            ("a", b"o\0n\0e\0", "`iconv -f UTF-16LE -t UTF-8`"),
            ("a", b"\xff\xfe\0\0o\0\0\0", "it is UTF-32"),
            ("a", b"PK\x03\x04rest", "a ZIP archive or a spreadsheet"),
            ("a", b"\x28\xb5\x2f\xfdrest", "packed with zstd"),
            ("a", b"one\nab\xff\n", "line 2 is not valid UTF-8 (byte 3 of the line)"),
        ] {
            let trouble = read(name, content).unwrap_err().to_string();
            assert!(trouble.contains(says), "{trouble} should say: {says}");
        }
        let mut cut = packed(&[b'x'; 500]);
        cut.truncate(cut.len() - 4);
        assert!(matches!(read("a.gz", &cut), Err(Trouble::Damaged(_))));
        // A few bytes may unpack to any number.
        let bomb = packed(&vec![b'x'; 100_000]);
        assert!(bomb.len() < 1000 && matches!(read("a.gz", &bomb), Err(Trouble::TooLong(1000))));
    }

    #[test]
    fn folders_and_missing_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(text(folder.path(), 9), Err(Trouble::Folder)));
        assert!(text(&folder.path().join("no"), 9).unwrap_err().is_missing());
        #[cfg(unix)]
        assert!(matches!(open(Path::new("/dev/null")), Err(Trouble::Special("a device"))));
    }
}
