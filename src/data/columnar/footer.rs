//! The description of its columns at the end of a Parquet file, looked through before the library reads it: the library reserves memory
//! for as many columns as a description announces, and follows columns within columns to any depth.
//!
//! A description is a struct in Thrift's compact protocol. Its field 2 lists the columns from the top, each before those within it.

/// Columns within columns, at most.
const DEEPEST: usize = 64;

/// Field 2 of a description.
const COLUMNS: i16 = 2;
/// Field 5 of a column: how many columns are within it.
const WITHIN: i16 = 5;

const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Whether a description announces no more columns than it lists, and nests them no deeper than is followed.
///
/// # Errors
/// A clause that says what is wrong with it.
pub fn check(description: &[u8]) -> Result<(), String> {
    let within =
        Compact { rest: description }.columns().ok_or("its description of the columns is damaged")?;
    let mut open = Vec::new();
    for (at, &more) in within.iter().enumerate() {
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if more > within.len() - at - 1 {
            return Err("its description announces more columns than it lists".into());
        }
        if more > 0 {
            open.push(more);
        }
        if open.len() > DEEPEST {
            return Err(format!("it has columns within columns more than {DEEPEST} deep"));
        }
    }
    Ok(())
}

/// What is left to read. `None` is the answer to anything that does not follow the protocol.
struct Compact<'a> {
    rest: &'a [u8],
}

impl Compact<'_> {
    /// How many columns are within each column.
    fn columns(&mut self) -> Option<Vec<usize>> {
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            if (id, kind) != (COLUMNS, LIST) {
                self.skip(kind, 0)?;
                continue;
            }
            let (kind, count) = self.list()?;
            if kind != STRUCT {
                return None;
            }
            let mut within = Vec::new();
            for _ in 0..count {
                within.push(self.column()?);
            }
            return Some(within);
        }
        None
    }

    fn column(&mut self) -> Option<usize> {
        let (mut id, mut within) = (0, 0);
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (WITHIN, I32) => within = usize::try_from(self.zigzag()?).ok()?,
                _ => self.skip(kind, 0)?,
            }
        }
        Some(within)
    }

    /// The kind of the next field of a struct, or `Some(None)` after the last; `id` becomes the field's own.
    fn field(&mut self, id: &mut i16) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *id = match head >> 4 {
            0 => i16::try_from(self.zigzag()?).ok()?,
            step => id.checked_add(i16::from(step))?,
        };
        Some(Some(head & 15))
    }

    /// The kind of a list's elements, and their number.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            few => u64::from(few),
        };
        Some((head & 15, count))
    }

    /// Goes past a value.
    fn skip(&mut self, kind: u8, deep: usize) -> Option<()> {
        if deep > DEEPEST {
            return None;
        }
        match kind {
            // A field that is true or false is so by its kind.
            1 | 2 => Some(()),
            3 => self.take(1),
            4 | I32 | 6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, deep))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, deep)?;
                    self.skip_element(kinds & 15, deep)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, deep + 1)?;
                }
                Some(())
            }
            13 => self.take(16),
            _ => None,
        }
    }

    /// The same within a list, where true and false take a byte.
    fn skip_element(&mut self, kind: u8, deep: usize) -> Option<()> {
        match kind {
            1 | 2 => self.take(1),
            kind => self.skip(kind, deep + 1),
        }
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description: version 1, then columns that say how many are within them.
    fn described(within: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x15, 2, 0x19, 0xfc, within.len() as u8];
        for more in within {
            // A name of one letter (field 4), then the number (field 5).
            bytes.extend([0x48, 1, b'a', 0x15, more * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn columns_are_counted_and_their_depth_is_bounded() {
        assert_eq!(check(&described(&[2, 0, 1, 0])), Ok(()));
        let says = |bytes: &[u8]| check(bytes).unwrap_err();
        assert!(says(&described(&[2, 0])).contains("more columns than it lists"));
        let chain: Vec<u8> = (0..70).map(|at| u8::from(at < 69)).collect();
        assert!(says(&described(&chain)).contains("more than 64 deep"));
        // Columns beside each other are not deep.
        let flat: Vec<u8> = std::iter::once(60).chain([0; 60]).collect();
        assert_eq!(check(&described(&flat)), Ok(()));
    }

    #[test]
    fn any_cut_and_any_byte_is_an_answer() {
        let whole = described(&[2, 0, 1, 0]);
        for end in 0..whole.len() - 1 {
            assert!(check(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut other = whole.clone();
                other[at] = byte;
                drop(check(&other));
            }
        }
        // A list of lists without end.
        assert!(check(&[0x19; 10_000]).is_err());
        assert!(check(&[0x39; 10_000]).is_err());
    }
}
