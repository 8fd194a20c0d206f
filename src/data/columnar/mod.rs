//! Parquet files, as Hugging Face keeps data: each row as a JSON object.
//!
//! The library `parquet` decodes pages. It may panic at a damaged file, reserves memory as a file announces it, and copies a list
//! whole before anyone can stop it; so a file's description is looked through first (`footer`), pages are unpacked here (`pages`),
//! and rows are put together here, too.

mod assemble;
mod footer;
mod pages;
mod shape;
mod values;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use parquet::column::reader::get_column_reader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde_json::{Map, Value};

use crate::base::caught::quietly;
use crate::base::error::input;
use crate::base::inputs::{self, MOST_SETTINGS, Trouble};
use assemble::Assembly;
use pages::{Packing, Pages, Refused, Taken};
use shape::Columns;
use values::{OfRow, Values, values};

/// First and last bytes of a file.
const MARK: &[u8; 4] = b"PAR1";
/// Rows at most for a byte of a file. Rows that are all the same take next to nothing.
const MOST_OF_A_BYTE: u64 = 16;
/// The length of the description and the mark, at the end.
const TAIL: u64 = 8;

/// The rows of a file.
pub struct ParquetRows {
    path: PathBuf,
    file: Arc<File>,
    described: ParquetMetaData,
    columns: Columns,
    /// The columns that are not read, and the clauses that say why.
    unread: Rc<[(String, String)]>,
    taken: Arc<Taken>,
    /// The next group of rows.
    group: usize,
    /// Of the current group.
    values: Vec<Box<dyn Values>>,
    left: u64,
    number: usize,
}

/// A row.
pub struct ParquetRow {
    /// Counted from 1.
    pub number: usize,
    /// The row as JSON would have it; null where there is no JSON value.
    pub object: Map<String, Value>,
    /// The names of columns that are not read, and the clauses that say why.
    pub never_read: Rc<[(String, String)]>,
    /// The same of those that are read, but not in this row.
    pub unread: Vec<(String, String)>,
}

impl ParquetRow {
    /// Why there is no value under a name, where the file has one there that is not read.
    pub fn why_unread(&self, name: &str) -> Option<&str> {
        let mut all = self.never_read.iter().chain(&self.unread);
        all.find(|(unread, _)| unread == name).map(|(_, why)| &**why)
    }
}

impl ParquetRows {
    /// Opens a file.
    ///
    /// # Errors
    /// It is no regular file.
    pub fn open(path: &Path) -> Result<Result<Self>, Trouble> {
        Ok(Self::of(path, inputs::open(path)?))
    }

    fn of(path: &Path, mut file: File) -> Result<Self> {
        let described = description(&mut file).and_then(|bytes| {
            footer::check(&bytes)?;
            let read = || ParquetMetaDataReader::decode_metadata(&bytes);
            let described = quietly(read).and_then(|read| read.map_err(|error| plain(&error)));
            described.map_err(|why| damaged("its description of the columns", &why))
        });
        let looked = described.and_then(|described| {
            let columns = Columns::new(described.file_metadata().schema_descr().root_schema())?;
            packings(&described, &columns).map_err(|refused| refused.to_string())?;
            rows_fit(&described, &file)?;
            Ok((described, columns))
        });
        let (described, columns) = looked.map_err(|why| unreadable(path, &why))?;
        Ok(Self {
            path: path.into(),
            file: Arc::new(file),
            unread: columns.unread.clone().into(),
            described,
            columns,
            taken: Arc::default(),
            group: 0,
            values: Vec::new(),
            left: 0,
            number: 0,
        })
    }

    /// The next row, or `None` after the last.
    ///
    /// # Errors
    /// It cannot be decoded, or the file holds more than is read of a corpus.
    pub fn next_row(&mut self) -> Result<Option<ParquetRow>> {
        // The library is not asked again once it has failed.
        match quietly(|| self.decode()) {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) => Err(unreadable(&self.path, &self.clause(&error))),
            Err(panic) => Err(unreadable(&self.path, &damaged(&self.place(), &panic))),
        }
    }

    fn place(&self) -> String {
        format!("row {}", self.number + 1)
    }

    fn clause(&self, error: &ParquetError) -> String {
        match error {
            ParquetError::External(refused) if refused.is::<Refused>() => refused.to_string(),
            error => damaged(&self.place(), &plain(error)),
        }
    }

    fn decode(&mut self) -> Result<Option<ParquetRow>, ParquetError> {
        while self.left == 0 {
            for values in &mut self.values {
                if values.has_more()? {
                    return Err(ParquetError::General("a column has more rows than the file says".into()));
                }
            }
            if self.group == self.described.num_row_groups() {
                return Ok(None);
            }
            self.open_group()?;
        }
        self.taken.row();
        let taken = &self.taken;
        let columns = self.values.iter_mut().map(|values| values.next_row(taken));
        let columns: Vec<OfRow> = columns.collect::<Result<_, _>>()?;
        let mut assembly = Assembly { leaves: &self.columns.leaves, columns, unread: Vec::new() };
        let object = assembly.row(&self.columns.shape);
        let object = object
            .ok_or_else(|| ParquetError::General("its columns do not agree about their lists".into()))?;
        self.left -= 1;
        self.number += 1;
        let (number, unread, never_read) = (self.number, assembly.unread, self.unread.clone());
        Ok(Some(ParquetRow { number, object, never_read, unread }))
    }

    fn open_group(&mut self) -> Result<(), ParquetError> {
        let group = self.described.row_group(self.group);
        let wrong = || ParquetError::General("a group of rows has a number of rows below 0".into());
        let rows = u64::try_from(group.num_rows()).map_err(|_| wrong())?;
        self.values.clear();
        for leaf in &self.columns.leaves {
            let column = group.columns().get(leaf.column);
            let column =
                column.ok_or_else(|| ParquetError::General("a group of rows lacks columns".into()))?;
            let pages = Pages::new(&self.file, column, rows as usize, &leaf.name, &self.taken)?;
            let reader = get_column_reader(column.column_descr_ptr(), Box::new(pages));
            self.values.push(values(reader, leaf.kind)?);
        }
        self.left = rows;
        self.group += 1;
        Ok(())
    }
}

/// That a file does not announce more rows than are worth their memory.
fn rows_fit(described: &ParquetMetaData, file: &File) -> Result<(), String> {
    let most = file.metadata().map_err(|error| error.to_string())?.len() * MOST_OF_A_BYTE;
    let rows = described.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    let rows = rows.reduce(|all, more| all?.checked_add(more?)).unwrap_or(Some(0));
    match rows {
        Some(rows) if rows <= most => Ok(()),
        _ => Err(damaged("its description of the columns", "it announces more rows than such a file holds")),
    }
}

/// That the columns which are read are packed as is read.
fn packings(described: &ParquetMetaData, columns: &Columns) -> Result<(), Refused> {
    for group in described.row_groups() {
        for leaf in &columns.leaves {
            if let Some(column) = group.columns().get(leaf.column) {
                Packing::of(column.compression_codec(), &leaf.name)?;
            }
        }
    }
    Ok(())
}

/// The description of the columns, from the end of a file.
fn description(file: &mut File) -> Result<Vec<u8>, String> {
    let cut = || "it is a Parquet file without its end; fetch the file again".to_string();
    let system = |error: std::io::Error| error.to_string();
    let length = file.metadata().map_err(system)?.len();
    let mut first = Vec::new();
    file.take(4).read_to_end(&mut first).map_err(system)?;
    if first != MARK {
        return Err("it is no Parquet file, although its name says so; give it the name of what it is".into());
    }
    let Some(end) = length.checked_sub(TAIL).filter(|end| *end >= 4) else { return Err(cut()) };
    let mut tail = [0; TAIL as usize];
    file.seek(SeekFrom::Start(end)).and_then(|_| file.read_exact(&mut tail)).map_err(system)?;
    let [a, b, c, d, mark @ ..] = tail;
    if &mark != MARK {
        return Err(if &mark == b"PARE" { "it is encrypted; decrypt it first".into() } else { cut() });
    }
    let long = u64::from(u32::from_le_bytes([a, b, c, d]));
    let Some(start) = end.checked_sub(long).filter(|start| *start >= 4) else { return Err(cut()) };
    if long > MOST_SETTINGS {
        return Err(format!("its description of the columns takes more than {} MiB", MOST_SETTINGS >> 20));
    }
    let mut bytes = vec![0; long as usize];
    file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes)).map_err(system)?;
    Ok(bytes)
}

fn damaged(what: &str, why: &str) -> String {
    format!("{what} is damaged: {why}; fetch the file again")
}

/// What the library says, without the name of the library.
fn plain(error: &ParquetError) -> String {
    match error {
        ParquetError::General(what) | ParquetError::NYI(what) | ParquetError::EOF(what) => what.clone(),
        other => other.to_string(),
    }
}

fn unreadable(path: &Path, why: &str) -> anyhow::Error {
    input(format!("{}: cannot be read ({why})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/parquet").join(name)
    }

    fn read(path: &Path) -> Result<Vec<ParquetRow>> {
        let mut rows = ParquetRows::open(path).unwrap()?;
        std::iter::from_fn(|| rows.next_row().transpose()).collect()
    }

    #[test]
    fn rows_are_those_that_pyarrow_reads() {
        let goldens = std::fs::read_to_string(golden("rows.json")).unwrap();
        let goldens: Value = serde_json::from_str(&goldens).unwrap();
        for (name, expected) in goldens["read"].as_object().unwrap() {
            let rows = read(&golden(&format!("{name}.parquet"))).unwrap();
            assert!(rows.iter().all(|row| row.unread.is_empty() && row.never_read.is_empty()), "{name}");
            let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
            assert_eq!(numbers, (1..=rows.len()).collect::<Vec<_>>(), "{name}");
            let rows: Vec<Value> = rows.into_iter().map(|row| row.object.into()).collect();
            assert_eq!(Value::Array(rows), *expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_read_is_null_and_says_why() {
        let rows = read(&golden("bytes.parquet")).unwrap();
        assert_eq!((&rows[0].object["target"], rows[0].why_unread("target")), (&json!("a"), None));
        assert_eq!(rows[1].object["target"], Value::Null);
        assert!(rows[1].why_unread("target").is_some_and(|why| why.contains("UTF-8")));
        let rows = read(&golden("times.parquet")).unwrap();
        assert_eq!(rows[0].object["source"], "s");
        assert!(rows[0].why_unread("target").is_some_and(|why| why.contains("TIMESTAMP")));
    }

    /// Every file cut anywhere, and every file with one byte changed, is read or refused in one sentence.
    #[test]
    fn damage_is_refused_and_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        for name in ["kinds", "translation", "answers", "plain"] {
            let whole = std::fs::read(golden(&format!("{name}.parquet"))).unwrap();
            for end in (0..whole.len()).step_by(7) {
                std::fs::write(&path, &whole[..end]).unwrap();
                let said = read(&path).err().expect("a file without its end").to_string();
                assert!(said.contains("x.parquet: cannot be read (it is"), "{said}");
            }
            for at in 0..whole.len() {
                let mut other = whole.clone();
                other[at] ^= 1 << (at % 8);
                std::fs::write(&path, &other).unwrap();
                if let Err(error) = read(&path) {
                    let said = error.to_string();
                    assert!(error.downcast_ref::<crate::base::error::InputError>().is_some(), "{said}");
                    assert!(said.contains("x.parquet: cannot be read (") && !said.contains('\n'), "{said}");
                }
            }
        }
    }
}
