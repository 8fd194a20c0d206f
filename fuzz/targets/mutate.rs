//! Mutations that know JSON and GGUF: a value somewhere in it is changed, so that it stays what it is and gets past the parser.
#![allow(dead_code, reason = "each target uses its own part")]

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value, json};

/// Change an input whose first `skip` bytes are not part of the text: as JSON if it is any (the whole, the header of a
/// safetensors file, or a line), with `words` for strings; now and then as bytes.
pub fn mutate(data: &mut [u8], size: usize, most: usize, seed: u32, skip: usize, words: &[&str]) -> usize {
    let mut random = Random(u64::from(seed));
    if size > skip && random.below(4) > 0 {
        let changed = whole(&data[skip..size], &mut random, words)
            .or_else(|| header(&data[skip..size], &mut random, words))
            .or_else(|| gguf(&data[skip..size], &mut random, words))
            .or_else(|| line(&data[skip..size], &mut random, words));
        if let Some(changed) = changed.filter(|changed| skip + changed.len() <= most.min(data.len())) {
            data[skip..skip + changed.len()].copy_from_slice(&changed);
            return skip + changed.len();
        }
    }
    fuzzer_mutate(data, size, most)
}

fn whole(text: &[u8], random: &mut Random, words: &[&str]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    for _ in 0..=random.below(3) {
        change(&mut value, random, words);
    }
    serde_json::to_vec(&value).ok()
}

fn header(bytes: &[u8], random: &mut Random, words: &[&str]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (text, tensors) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let text = whole(text, random, words)?;
    Some([&(text.len() as u64).to_le_bytes(), &*text, tensors].concat())
}

/// Metadata and descriptions of tensors become JSON, are changed, and become GGUF again.
fn gguf(bytes: &[u8], random: &mut Random, words: &[&str]) -> Option<Vec<u8>> {
    let mut file = File { bytes: bytes.strip_prefix(b"GGUF\x03\0\0\0")?, all: bytes.len() };
    let (tensors, entries) = (file.number(8)?, file.number(8)?);
    let entry = |_| {
        let (key, kind) = (file.text()?, file.number(4)?);
        Some(json!([key, kind, file.value(kind)?]))
    };
    let mut metadata = json!((0..entries).map(entry).collect::<Option<Vec<Value>>>()?);
    let tensor = |_| {
        let (name, dimensions) = (file.text()?, file.number(4)?);
        let dimensions = (0..dimensions).map(|_| file.number(8)).collect::<Option<Vec<u64>>>()?;
        Some(json!([name, dimensions, file.number(4)?, file.number(8)?]))
    };
    let mut tensors = json!((0..tensors).map(tensor).collect::<Option<Vec<Value>>>()?);
    let data = file.bytes.get(file.padding()..)?;
    for _ in 0..=random.below(3) {
        change(if random.below(3) > 0 { &mut metadata } else { &mut tensors }, random, words);
    }
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for count in [list(&tensors).len(), list(&metadata).len()] {
        out.extend((count as u64).to_le_bytes());
    }
    for entry in list(&metadata) {
        let kind = entry[1].as_u64().unwrap_or_default();
        put(&mut out, 8, &entry[0]);
        put(&mut out, 4, &entry[1]);
        put(&mut out, kind, &entry[2]);
    }
    for tensor in list(&tensors) {
        let dimensions = list(&tensor[1]);
        put(&mut out, 8, &tensor[0]);
        put(&mut out, 4, &json!(dimensions.len()));
        dimensions.iter().for_each(|dimension| put(&mut out, 10, dimension));
        put(&mut out, 4, &tensor[2]);
        put(&mut out, 10, &tensor[3]);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    Some([&out, data].concat())
}

/// What is left of a GGUF file, and how long it was.
struct File<'a> {
    bytes: &'a [u8],
    all: usize,
}

impl File<'_> {
    fn number(&mut self, size: usize) -> Option<u64> {
        let (number, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest;
        Some(number.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number(8)?).ok()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// A number of any kind as its bits.
    fn value(&mut self, kind: u64) -> Option<Value> {
        match kind {
            8 => Some(self.text()?.into()),
            9 => {
                let (kind, length) = (self.number(4)?, self.number(8)?);
                let items = (0..length).map(|_| self.value(kind)).collect::<Option<Vec<Value>>>()?;
                Some(json!([kind, items]))
            }
            kind => Some(self.number(size_of_kind(kind)?)?.into()),
        }
    }

    fn padding(&self) -> usize {
        let at = self.all - self.bytes.len();
        at.next_multiple_of(32) - at
    }
}

fn size_of_kind(kind: u64) -> Option<usize> {
    [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8].get(usize::try_from(kind).ok()?).copied().filter(|size| *size > 0)
}

fn put(out: &mut Vec<u8>, kind: u64, value: &Value) {
    match kind {
        8 => {
            let text = value.as_str().unwrap_or_default();
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        9 => {
            let items = value[1].as_array().cloned().unwrap_or_default();
            put(out, 4, &value[0]);
            put(out, 10, &json!(items.len()));
            items.iter().for_each(|item| put(out, value[0].as_u64().unwrap_or_default(), item));
        }
        kind => {
            let bits = value.as_u64().or(value.as_i64().map(|number| number as u64)).unwrap_or_default();
            out.extend(&bits.to_le_bytes()[..size_of_kind(kind).unwrap_or(0)]);
        }
    }
}

fn line(bytes: &[u8], random: &mut Random, words: &[&str]) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = random.below(lines.len());
    match random.below(8) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        _ => lines[at] = whole(&lines[at], random, words)?,
    }
    Some(lines.join(&b'\n'))
}

/// Change one value.
fn change(root: &mut Value, random: &mut Random, words: &[&str]) {
    let count = nodes(root);
    let donor = nth(root, &mut random.below(count)).cloned().unwrap_or_default();
    let Some(value) = nth(root, &mut random.below(count)) else { return };
    match (random.below(6), &mut *value) {
        (0, _) => *value = donor,
        (1, _) => *value = strange(random),
        (2, Value::Array(items)) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        (2, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(random.below(fields.len())).cloned().unwrap_or_default();
            fields.shift_remove(&name);
        }
        (3, Value::Object(fields)) => rename(fields, random, words),
        (_, Value::Array(items)) if random.below(2) == 0 && items.len() > 1 => {
            let (a, b) = (random.below(items.len()), random.below(items.len()));
            items.swap(a, b);
        }
        (_, Value::Array(items)) => items.insert(random.below(items.len() + 1), donor),
        (_, Value::Object(fields)) => {
            let name = word(random, words);
            fields.insert(name, donor);
        }
        (_, Value::Number(number)) => {
            let near = number.as_i64().unwrap_or_default();
            *value = match random.below(4) {
                0 => json!(near.wrapping_add(1)),
                1 => json!(near.wrapping_sub(1)),
                2 => json!(near.wrapping_mul(2)),
                _ => json!(random.below(300)),
            };
        }
        (kind, Value::String(text)) => {
            *value = if kind == 3 { word(random, words) } else { scrambled(text) }.into();
        }
        (_, Value::Bool(yes)) => *yes = !*yes,
        (_, Value::Null) => *value = donor,
    }
}

fn rename(fields: &mut Map<String, Value>, random: &mut Random, words: &[&str]) {
    let Some(name) = fields.keys().nth(random.below(fields.len().max(1))).cloned() else { return };
    let new = if random.below(2) == 0 { word(random, words) } else { scrambled(&name) };
    let value = fields.shift_remove(&name).unwrap_or_default();
    fields.insert(new, value);
}

fn scrambled(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(text.len() + 8, 0);
    let most = bytes.len();
    let size = fuzzer_mutate(&mut bytes, text.len(), most);
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

fn word(random: &mut Random, words: &[&str]) -> String {
    match words.len() {
        0 => ["", "a", " ", "\u{2581}", "\u{e9}", "\u{1f600}", "id", "type"][random.below(8)].into(),
        n => words[random.below(n)].into(),
    }
}

fn strange(random: &mut Random) -> Value {
    let powers =
        json!([255, 65_535, u32::MAX, i32::MIN, 1u64 << 40, u64::MAX, i64::MIN, 1e308, 5e-324, -0.0, 0.5]);
    match random.below(8) {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(-1),
        3 => json!(""),
        4 => json!([]),
        5 => json!({}),
        6 => json!("\u{e9}".repeat(random.below(100))),
        _ => powers[random.below(11)].clone(),
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, n)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, n)),
        _ => None,
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}
