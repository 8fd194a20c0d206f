//! The fields of a message of Protocol Buffers, as far as models of SentencePiece use them.

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A whole number, an enumeration or a flag.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// An f32.
    Float(f32),
    /// Eight bytes, of which no field is made that is read here.
    Wide,
}

/// The fields of a message in their order, each with its number; `None` stands for a damaged rest.
pub fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u64, Value<'_>)>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = number(rest)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => {
            taken(rest, 8)?;
            Value::Wide
        }
        2 => {
            let length = usize::try_from(number(rest)?).ok()?;
            Value::Bytes(taken(rest, length)?)
        }
        5 => Value::Float(f32::from_le_bytes(taken(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn taken<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Seven bits a byte, the lowest first; the last byte has no eighth bit.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = taken(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_damage_ends_them() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'a', b'b', 0x1d, 0, 0, 0x80, 0x3f];
        let found: Vec<_> = fields(&message).collect();
        let wanted = [(1, Value::Number(150)), (2, Value::Bytes(b"ab")), (3, Value::Float(1.))].map(Some);
        assert_eq!(found, wanted);
        assert_eq!(fields(&message[..6]).last(), Some(None));
        assert_eq!(fields(&[0xff; 12]).collect::<Vec<_>>(), [None]);
    }
}
