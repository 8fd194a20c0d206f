//! The values of a column, a row at a time.

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result};
use serde_json::{Number, Value};

use super::pages::Taken;
use super::shape::LeafKind;

/// A value, or the clause that says why it is none.
pub type Read = std::result::Result<Value, &'static str>;

/// Gives the values of a column.
pub trait Values {
    /// The values of the next row.
    ///
    /// # Errors
    /// They cannot be decoded; there is no further row.
    fn next_row(&mut self, taken: &Taken) -> Result<OfRow>;

    /// Whether there is a further row.
    ///
    /// # Errors
    /// What there is cannot be decoded.
    fn has_more(&mut self) -> Result<bool>;
}

/// What a column has in a row: a value or a null, or those of lists.
pub struct OfRow {
    /// How far each is defined; empty where nothing can be null.
    defined: Vec<i16>,
    /// In which list each goes on; empty where there are no lists.
    repeated: Vec<i16>,
    values: std::vec::IntoIter<Read>,
    at: usize,
    count: usize,
}

impl OfRow {
    /// How far the next value is defined; `None` after the last one. Where nothing can be null, it is defined to level 0.
    pub fn defined(&self) -> Option<i16> {
        (self.at < self.count).then(|| self.defined.get(self.at).copied().unwrap_or_default())
    }

    /// In which list the next value goes on; `None` after the last one.
    pub fn repeated(&self) -> Option<i16> {
        (self.at < self.count).then(|| self.repeated.get(self.at).copied().unwrap_or_default())
    }

    /// Goes past a null or an empty list.
    pub fn skip(&mut self) -> Option<()> {
        (self.at < self.count).then(|| self.at += 1)
    }

    /// Takes a value.
    pub fn take(&mut self) -> Option<Read> {
        self.skip()?;
        self.values.next()
    }

    /// Whether all has been taken.
    pub fn is_over(&self) -> bool {
        self.at == self.count && self.values.len() == 0
    }
}

/// The values that a reader of the library gives.
///
/// # Errors
/// Values of this physical type are not understood so.
pub fn values(reader: ColumnReader, kind: LeafKind) -> Result<Box<dyn Values>> {
    use LeafKind::*;
    Ok(match (reader, kind) {
        (ColumnReader::BoolColumnReader(reader), Truth) => of(reader, |&value, _| Ok(Ok(value.into()))),
        (ColumnReader::Int32ColumnReader(reader), Whole) => of(reader, |&value, _| Ok(Ok(value.into()))),
        (ColumnReader::Int32ColumnReader(reader), Unsigned) => {
            of(reader, |&value, _| Ok(Ok(value.cast_unsigned().into())))
        }
        (ColumnReader::Int64ColumnReader(reader), Whole) => of(reader, |&value, _| Ok(Ok(value.into()))),
        (ColumnReader::Int64ColumnReader(reader), Unsigned) => {
            of(reader, |&value, _| Ok(Ok(value.cast_unsigned().into())))
        }
        // The shortest digits that mean this number, and not those of its neighbour among more exact numbers.
        (ColumnReader::FloatColumnReader(reader), Fraction) => {
            of(reader, |value, _| Ok(number(value.to_string().parse().unwrap_or(f64::NAN))))
        }
        (ColumnReader::DoubleColumnReader(reader), Fraction) => of(reader, |&value, _| Ok(number(value))),
        (ColumnReader::ByteArrayColumnReader(reader), Text) => of(reader, text),
        _ => return Err(ParquetError::General("a column has values of another type than it says".into())),
    })
}

fn number(value: f64) -> Read {
    Number::from_f64(value).map(Value::Number).ok_or("that is no finite number")
}

fn text(bytes: &ByteArray, taken: &Taken) -> Result<Read> {
    taken.text(bytes.len())?;
    Ok(match std::str::from_utf8(bytes.data()) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err("whose bytes are not UTF-8, so it is no text"),
    })
}

struct Of<T: DataType> {
    reader: ColumnReaderImpl<T>,
    read: fn(&T::T, &Taken) -> Result<Read>,
}

fn of<T: DataType>(reader: ColumnReaderImpl<T>, read: fn(&T::T, &Taken) -> Result<Read>) -> Box<dyn Values> {
    Box::new(Of { reader, read })
}

impl<T: DataType> Values for Of<T> {
    fn next_row(&mut self, taken: &Taken) -> Result<OfRow> {
        let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (rows, _, count) =
            self.reader.read_records(1, Some(&mut defined), Some(&mut repeated), &mut values)?;
        if rows != 1 {
            return Err(ParquetError::General("a column has fewer rows than the file says".into()));
        }
        taken.values(count)?;
        let values: Vec<Read> =
            values.iter().map(|value| (self.read)(value, taken)).collect::<Result<_>>()?;
        Ok(OfRow { defined, repeated, values: values.into_iter(), at: 0, count })
    }

    fn has_more(&mut self) -> Result<bool> {
        let (rows, ..) =
            self.reader.read_records(1, Some(&mut Vec::new()), Some(&mut Vec::new()), &mut Vec::new())?;
        Ok(rows > 0)
    }
}
