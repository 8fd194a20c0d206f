//! What SentencePiece makes of a line before it cuts it: replaced characters, and `▁` for spaces.

/// What takes the place of a space.
const SPACE: &str = "\u{2581}";
/// Texts that are replaced by others: the longest that a text begins with. The tree is an array (Darts), as model files hold it.
#[derive(Debug, Clone, Default)]
struct Rules {
    tree: Vec<u32>,
    /// What replaces them, each ended by a zero byte.
    replacements: Vec<u8>,
}

/// The normaliser of a model.
#[derive(Debug, Clone)]
pub struct Normaliser {
    rules: Rules,
    /// The line gets a space before it.
    pub add_dummy_prefix: bool,
    /// Of several spaces one is left, and none at the ends.
    pub remove_extra_spaces: bool,
    /// Spaces become `▁`.
    pub escape_spaces: bool,
}

impl Default for Normaliser {
    fn default() -> Self {
        let rules = Rules::default();
        Self { rules, add_dummy_prefix: true, remove_extra_spaces: true, escape_spaces: true }
    }
}

impl Normaliser {
    /// Take the replacements of a model file (`precompiled_charsmap`); `None` if they are damaged.
    pub fn with_rules(&mut self, bytes: &[u8]) -> Option<()> {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (tree, replacements) = rest.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        let (units, odd) = tree.as_chunks::<4>();
        // A replacement that no zero byte ends would have no end.
        if units.is_empty() || !odd.is_empty() || replacements.last() != Some(&0) {
            return None;
        }
        let tree = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        self.rules = Rules { tree, replacements: replacements.to_vec() };
        Some(())
    }

    /// The line as it is cut; `None` where the replacements of a damaged model make no text.
    pub fn normalise(&self, line: &str) -> Option<String> {
        let space = if self.escape_spaces { SPACE } else { " " };
        let mut rest = line.as_bytes();
        if self.remove_extra_spaces {
            while let Some((replaced, length)) = self.rules.prefix(rest).filter(|(by, _)| *by == b" ") {
                debug_assert_eq!(replaced.len(), 1);
                rest = &rest[length..];
            }
        }
        let mut out: Vec<u8> = Vec::with_capacity(2 * rest.len());
        if self.add_dummy_prefix && !rest.is_empty() {
            out.extend(space.as_bytes());
        }
        let mut after_space = self.remove_extra_spaces;
        while let Some((mut by, length)) = self.rules.prefix(rest) {
            while after_space && by.first() == Some(&b' ') {
                by = &by[1..];
            }
            for byte in by {
                match byte {
                    b' ' => out.extend(space.as_bytes()),
                    _ => out.push(*byte),
                }
            }
            if let Some(last) = by.last() {
                after_space = self.remove_extra_spaces && *last == b' ';
            }
            rest = &rest[length..];
        }
        while self.remove_extra_spaces && out.ends_with(space.as_bytes()) {
            out.truncate(out.len() - space.len());
        }
        String::from_utf8(out).ok()
    }
}

impl Rules {
    /// What takes the place of the first characters of a text, and their bytes; `None` at its end.
    fn prefix<'a>(&'a self, text: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let first = *text.first()?;
        if let Some((at, length)) = self.longest(text) {
            let replacement = self.replacements.get(at..)?;
            let end = replacement.iter().position(|byte| *byte == 0)?;
            return Some((&replacement[..end], length));
        }
        let length = match first {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            _ => 1,
        };
        // A replacement may have taken a part of a character.
        let length = length.min(text.len());
        Some((&text[..length], length))
    }

    /// Where the replacement of the longest rule that a text begins with is, and the rule's length.
    fn longest(&self, text: &[u8]) -> Option<(usize, usize)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut place = offset(*self.tree.first()?);
        let mut found = None;
        for (at, byte) in text.iter().enumerate() {
            place ^= usize::from(*byte);
            let Some(&unit) = self.tree.get(place) else { break };
            if unit & (1 << 31 | 0xff) != u32::from(*byte) {
                break;
            }
            place ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let Some(value) = self.tree.get(place) else { break };
                found = Some(((value & !(1 << 31)) as usize, at + 1));
            }
        }
        found
    }
}
