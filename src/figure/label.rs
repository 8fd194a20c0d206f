//! What a curve is called: the parts of the prompt, a line above those that are hidden, as the paper writes them.

use super::svg::TextPart;
use crate::intervene::Intervention;
use crate::stats::CurveKey;

/// `Instr, Ex Query` with a line above what is hidden.
pub fn label(key: &CurveKey) -> Vec<TextPart> {
    let shown = [(key.instructed, "Instr"), (key.nprompts > 0, "Ex"), (true, "Query")];
    match key.intervention {
        Intervention::All => vec![TextPart { text: "every other token".into(), hidden: true }],
        Intervention::Ablation => vec![TextPart::plain(setting(key))],
        Intervention::Lora => vec![TextPart::plain(trained(key))],
        Intervention::Rules(name) => vec![TextPart::plain(name.as_str())],
        Intervention::Segments { instructions, examples, query } => {
            let hidden = [instructions, examples, query];
            joined([0, 1, 2].map(|part| (shown[part].0, shown[part].1, hidden[part])))
        }
    }
}

/// Parts that are hidden, or not, side by side become one stretch.
fn joined(parts: [(bool, &str, bool); 3]) -> Vec<TextPart> {
    let mut label: Vec<TextPart> = Vec::new();
    for (_, name, hidden) in parts.into_iter().filter(|(there, ..)| *there) {
        match label.last_mut() {
            Some(last) if last.hidden == hidden => last.text += &format!(", {name}"),
            Some(_) => {
                label.push(TextPart::plain(" "));
                label.push(TextPart { text: name.into(), hidden });
            }
            None => label.push(TextPart { text: name.into(), hidden }),
        }
    }
    label
}

/// `400 pairs`
fn trained(key: &CurveKey) -> String {
    key.train_size.map_or("adapter".into(), |size| format!("{size} pairs"))
}

/// `5 examples, with instructions`
pub fn setting(key: &CurveKey) -> String {
    let examples = match key.nprompts {
        0 => "no examples".into(),
        1 => "1 example".into(),
        k => format!("{k} examples"),
    };
    format!("{examples}, {} instructions", if key.instructed { "with" } else { "without" })
}

/// A label as a line of text, what is hidden in brackets.
pub fn plain(parts: &[TextPart]) -> String {
    parts
        .iter()
        .map(|part| if part.hidden { format!("[{}]", part.text) } else { part.text.clone() })
        .collect()
}

/// The labels of several curves, told apart by their formats or numbers of examples where they would be the same.
pub fn labels(keys: &[&CurveKey]) -> Vec<Vec<TextPart>> {
    let short: Vec<Vec<TextPart>> = keys.iter().map(|key| label(key)).collect();
    let told = |index: usize| {
        let twins: Vec<usize> = (0..keys.len()).filter(|&other| short[other] == short[index]).collect();
        let differ =
            |of: &dyn Fn(&CurveKey) -> String| twins.iter().any(|&twin| of(keys[twin]) != of(keys[index]));
        let mut parts = short[index].clone();
        if differ(&|key| key.format.clone()) {
            parts.push(TextPart::plain(format!(" ({})", keys[index].format)));
        }
        if differ(&|key| key.nprompts.to_string()) {
            parts.push(TextPart::plain(format!(" (k = {})", keys[index].nprompts)));
        }
        if differ(&|key| key.vary.clone()) {
            let vary = if keys[index].vary.is_empty() { "as it is" } else { &keys[index].vary };
            parts.push(TextPart::plain(format!(" ({vary})")));
        }
        if differ(&|key| key.intervention.to_string()) {
            parts.push(TextPart::plain(format!(" ({})", keys[index].intervention)));
        }
        parts
    };
    (0..keys.len()).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mask: &str, instructed: bool, nprompts: usize) -> CurveKey {
        CurveKey {
            intervention: mask.parse().expect("a mask"),
            format: "f".into(),
            instructed,
            nprompts,
            train_size: None,
            vary: String::new(),
        }
    }

    #[test]
    fn labels_are_those_of_the_paper() {
        let written = |mask, instructed, k| plain(&label(&key(mask, instructed, k)));
        assert_eq!(written("TTF", true, 5), "[Instr, Ex] Query");
        assert_eq!(written("FTF", true, 5), "Instr [Ex] Query");
        assert_eq!(written("FTF", false, 5), "[Ex] Query");
        assert_eq!(written("FFT", true, 5), "Instr, Ex [Query]");
        assert_eq!(written("TTT", true, 5), "[Instr, Ex, Query]");
        assert_eq!(written("ablate-attention", false, 0), "no examples, without instructions");
        assert_eq!(written("mine+window=5", true, 5), "mine+window=5");
    }

    #[test]
    fn twins_are_told_apart() {
        let (five, ten) = (key("TTF", true, 5), key("TTF", true, 10));
        let both = labels(&[&five, &ten, &key("FFT", true, 5)]);
        assert_eq!(plain(&both[0]), "[Instr, Ex] Query (k = 5)");
        assert_eq!(plain(&both[2]), "Instr, Ex [Query]");
    }
}
