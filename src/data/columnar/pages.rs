//! The pages of a column, unpacked here: the library would unpack whatever a page holds, and reserve what it announces.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::{CompressionCodec, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::base::inputs::{MOST_TEXT, Trouble};

/// Bytes of one page at most. Writers end a page at about a megabyte, or at the end of a group of rows.
const MOST_OF_A_PAGE: u64 = 128 << 20;

/// Values at most that are decoded together: those of a dictionary, and those of the lists of a row. In a file they may take next to
/// nothing.
const MOST_VALUES: u64 = 1 << 21;

/// What a value counts beside its text: it takes as much when it is read, whatever it took in the file.
const OF_A_VALUE: u64 = 16;

/// What is refused although the file is whole, as a clause about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl From<Refused> for ParquetError {
    fn from(refused: Refused) -> Self {
        Self::External(Box::new(refused))
    }
}

/// What a file has taken so far.
#[derive(Default)]
pub struct Taken {
    /// Bytes of unpacked pages.
    unpacked: AtomicU64,
    /// Bytes of values. A text that a dictionary holds once may be in any number of rows.
    values: AtomicU64,
    /// Values in pages of lists since the row began.
    listed: AtomicU64,
}

impl Taken {
    /// A row begins.
    pub fn row(&self) {
        self.listed.store(0, Ordering::Relaxed);
    }

    /// One more text.
    ///
    /// # Errors
    /// The values take more together than what is read of a corpus.
    pub fn text(&self, bytes: usize) -> Result<(), Refused> {
        add(&self.values, bytes as u64, MOST_TEXT).then_some(()).ok_or_else(too_long)
    }

    /// More values, nulls included.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn values(&self, count: usize) -> Result<(), Refused> {
        let bytes = (count as u64).saturating_mul(OF_A_VALUE);
        add(&self.values, bytes, MOST_TEXT).then_some(()).ok_or_else(too_long)
    }
}

fn add(sum: &AtomicU64, more: u64, most: u64) -> bool {
    sum.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= most
}

/// A page cannot unpack to more: the limit of a page, or what is left of that of a file.
fn too_large(most: u64) -> Refused {
    match most < MOST_OF_A_PAGE {
        true => too_long(),
        false => Refused(format!(
            "a page holds more than {} MiB; write the file again with smaller pages",
            MOST_OF_A_PAGE >> 20
        )),
    }
}

fn too_long() -> Refused {
    Refused(Trouble::TooLong(MOST_TEXT).to_string())
}

/// How the pages of a column are packed.
#[derive(Clone, Copy)]
pub enum Packing {
    None,
    Snappy,
    Gzip,
    Zstd,
}

impl Packing {
    /// The packing of a column; `name` is the column's.
    ///
    /// # Errors
    /// It is another one.
    pub fn of(codec: CompressionCodec, name: &str) -> Result<Self, Refused> {
        match codec {
            CompressionCodec::UNCOMPRESSED => Ok(Self::None),
            CompressionCodec::SNAPPY => Ok(Self::Snappy),
            CompressionCodec::GZIP => Ok(Self::Gzip),
            CompressionCodec::ZSTD => Ok(Self::Zstd),
            other => Err(Refused(format!(
                "its column `{name}` is packed with {other:?}; write the file again with snappy, zstd or gzip"
            ))),
        }
    }

    /// The bytes unpacked, but no more than `most`.
    fn unpack(self, packed: &[u8], most: u64) -> Result<Vec<u8>> {
        // A page of nothing but nulls may hold nothing.
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        let damaged = |error: &dyn std::fmt::Display| ParquetError::General(error.to_string());
        let mut bytes = Vec::new();
        match self {
            Self::None => bytes.extend_from_slice(packed),
            Self::Snappy => {
                let length = snap::raw::decompress_len(packed).map_err(|error| damaged(&error))?;
                if length as u64 > most {
                    return Err(too_large(most).into());
                }
                bytes = snap::raw::Decoder::new().decompress_vec(packed).map_err(|error| damaged(&error))?;
            }
            Self::Gzip => {
                let unpacked = flate2::read::MultiGzDecoder::new(packed);
                unpacked.take(most + 1).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
            }
            Self::Zstd => {
                let unpacked =
                    ruzstd::decoding::StreamingDecoder::new(packed).map_err(|error| damaged(&error))?;
                unpacked.take(most + 1).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
            }
        }
        match bytes.len() as u64 > most {
            true => Err(too_large(most).into()),
            false => Ok(bytes),
        }
    }
}

/// The pages of one column in one group of rows.
pub struct Pages {
    /// Leaves the pages packed.
    packed: SerializedPageReader<File>,
    packing: Packing,
    name: String,
    of_lists: bool,
    taken: Arc<Taken>,
}

impl Pages {
    /// The pages of a column called `name` of a group of `rows` rows.
    ///
    /// # Errors
    /// The column's packing is not read, or the file does not hold what the column is said to take.
    pub fn new(
        file: &Arc<File>,
        column: &ColumnChunkMetaData,
        rows: usize,
        name: &str,
        taken: &Arc<Taken>,
    ) -> Result<Self> {
        let packing = Packing::of(column.compression_codec(), name)?;
        let (start, length) = column.byte_range();
        if start.checked_add(length).is_none_or(|end| end > file.metadata().map_or(0, |file| file.len())) {
            return Err(ParquetError::General(format!(
                "the column `{name}` goes beyond the end of the file"
            )));
        }
        let unread = column.clone().into_builder().set_compression_codec(CompressionCodec::UNCOMPRESSED);
        Ok(Self {
            packed: SerializedPageReader::new(file.clone(), &unread.build()?, rows, None)?,
            packing,
            name: name.into(),
            of_lists: column.column_descr().max_rep_level() > 0,
            taken: taken.clone(),
        })
    }

    /// Unpacks a page, whose first `plain` bytes are not packed.
    fn unpacked(&self, page: &[u8], plain: usize, packed: bool) -> Result<Vec<u8>> {
        let (Some(levels), Some(values)) = (page.get(..plain), page.get(plain..)) else {
            return Err(ParquetError::General("a page is shorter than it says".into()));
        };
        let left = MOST_TEXT.saturating_sub(self.taken.unpacked.load(Ordering::Relaxed));
        let packing = if packed { self.packing } else { Packing::None };
        let mut bytes = packing.unpack(values, left.min(MOST_OF_A_PAGE))?;
        if plain > 0 {
            bytes.splice(..0, levels.iter().copied());
        }
        add(&self.taken.unpacked, bytes.len() as u64, MOST_TEXT)
            .then_some(bytes)
            .ok_or_else(|| too_long().into())
    }

    /// A page as the library decodes it, once that takes bounded memory.
    fn decodable(&self, mut page: Page) -> Result<Page> {
        match page.encoding() {
            Encoding::PLAIN | Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY | Encoding::RLE => (),
            other => {
                return Err(Refused(format!(
                    "its column `{}` is encoded as {other}; write the file again with plain or dictionary encoding",
                    self.name
                ))
                .into());
            }
        }
        match &mut page {
            Page::DataPage { buf, .. } => *buf = self.unpacked(buf, 0, true)?.into(),
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                let plain = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                *buf = self.unpacked(buf, plain, *is_compressed)?.into();
            }
            Page::DictionaryPage { buf, num_values, .. } => {
                *buf = self.unpacked(buf, 0, true)?.into();
                // Each value takes a byte at least; the library reserves memory for as many as are announced.
                if *num_values as usize > buf.len() {
                    return Err(ParquetError::General("a dictionary announces more than it holds".into()));
                }
                if u64::from(*num_values) > MOST_VALUES {
                    return Err(self.too_many("in its dictionary").into());
                }
                return Ok(page);
            }
        }
        if self.of_lists && !add(&self.taken.listed, u64::from(page.num_values()), MOST_VALUES) {
            return Err(self.too_many("in lists that are read together").into());
        }
        Ok(page)
    }

    fn too_many(&self, place: &str) -> Refused {
        Refused(format!(
            "its column `{}` has more than {MOST_VALUES} values {place}; write the file again with fewer rows in a group",
            self.name
        ))
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.packed.get_next_page()?.map(|page| self.decodable(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.packed.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.packed.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.packed.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn no_more_is_unpacked_than_may_be() {
        let zeros = vec![0; 100_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&zeros).unwrap();
        let gzip = gzip.finish().unwrap();
        let snappy = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        for (packing, bytes) in [(Packing::Gzip, &gzip), (Packing::Snappy, &snappy)] {
            assert_eq!(packing.unpack(bytes, 100_000).unwrap(), zeros);
            assert!(packing.unpack(&bytes[..bytes.len() / 2], 100_000).is_err());
            assert!(packing.unpack(b"\x05ab", 100_000).is_err());
        }
        for (packing, bytes) in [(Packing::Gzip, &gzip), (Packing::Snappy, &snappy), (Packing::None, &zeros)]
        {
            assert!(packing.unpack(bytes, 1000).unwrap_err().to_string().contains("2048 MiB of text"));
        }
        assert!(Packing::Zstd.unpack(b"\x28\xb5\x2f\xfd\x04", 1000).is_err());
    }

    #[test]
    fn values_are_counted_together() {
        let taken = Taken::default();
        assert!(taken.values(usize::MAX).is_err());
        let taken = Taken::default();
        assert!(taken.text(MOST_TEXT as usize - 1).is_ok() && taken.text(1).is_ok());
        assert!(taken.text(1).unwrap_err().to_string().contains("2048 MiB"));
    }
}
