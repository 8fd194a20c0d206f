//! Lists and ranges: `14`, `0,7,14`, `0..29` (both ends), `all`.

use anyhow::Result;

use crate::base::error::input;

/// Which start layers are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    /// 0 to L-1.
    All,
    /// These, ascending, each once.
    These(Vec<usize>),
}

impl Layers {
    /// From words such as `0..3` and `7`.
    pub fn parse(words: &[String], origin: &str) -> Result<Self> {
        if words.iter().any(|word| word == "all") {
            return Ok(Self::All);
        }
        let layers = numbers(words, origin)?.into_iter().map(|layer| layer as usize);
        Ok(Self::These(layers.collect()))
    }

    /// The start layers for a model with `n_layers` layers. `n_layers` itself is the unmasked run.
    ///
    /// # Errors
    /// A layer beyond the model.
    pub fn resolve(&self, n_layers: usize, model: &str, origin: &str) -> Result<Vec<usize>> {
        match self {
            Self::All => Ok((0..n_layers).collect()),
            Self::These(layers) => match layers.iter().find(|&&layer| layer > n_layers) {
                None => Ok(layers.clone()),
                Some(layer) => Err(input(format!(
                    "{origin}: layer {layer} is out of range: {model} has {n_layers} layers, so write 0..{} \
                     ({n_layers} is the run without a mask)",
                    n_layers - 1
                ))),
            },
        }
    }
}

/// From first to last number of a range at most.
const LONGEST: u64 = 100_000;

/// Numbers and ranges with both ends, sorted, each once.
pub fn numbers(words: &[String], origin: &str) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for word in words {
        let number = |text: &str| -> Result<u64> {
            text.trim().parse().map_err(|_| {
                input(format!("{origin}: `{word}` is not a whole number nor a range such as 0..29"))
            })
        };
        match word.split_once("..") {
            None => all.push(number(word)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return Err(input(format!(
                        "{origin}: the range `{word}` runs backwards; write {last}..{first}"
                    )));
                }
                if last - first > LONGEST {
                    return Err(input(format!(
                        "{origin}: the range `{word}` has more than {LONGEST} numbers"
                    )));
                }
                all.extend(first..=last);
            }
        }
        if all.len() as u64 > 2 * LONGEST {
            return Err(input(format!("{origin}: the list has more than {} numbers", 2 * LONGEST)));
        }
    }
    if all.is_empty() {
        return Err(input(format!("{origin}: nothing is listed")));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(String::from).collect()
    }

    #[test]
    fn lists_and_ranges_hold_both_ends() {
        assert_eq!(numbers(&words("14"), "--x").unwrap(), [14]);
        assert_eq!(numbers(&words("7,0..2,1"), "--x").unwrap(), [0, 1, 2, 7]);
        for bad in ["", "-1", "3..1", "1..", "a", "0..99999999999", "1.5"] {
            let error = numbers(&words(bad), "--x").unwrap_err().to_string();
            assert!(error.starts_with("--x: "), "{bad}: {error}");
        }
    }

    #[test]
    fn layers_end_with_the_unmasked_run() {
        assert_eq!(Layers::parse(&words("all"), "").unwrap().resolve(3, "m", "").unwrap(), [0, 1, 2]);
        let layers = Layers::parse(&words("0..3"), "").unwrap();
        assert_eq!(layers.resolve(3, "m", "").unwrap(), [0, 1, 2, 3]);
        let error = layers.resolve(2, "tiny", "--from-layer").unwrap_err().to_string();
        assert!(error.contains("layer 3 is out of range: tiny has 2 layers"), "{error}");
    }
}
