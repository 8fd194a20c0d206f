//! What panels are called: model, direction and corpus, and whatever else tells one from the others.

use serde_json::{Map, Value};

use super::style::DisplayNames;
use crate::intervene::InterventionKind;
use crate::stats::Panel;

/// A title for each panel, no two of them the same.
pub fn titles(panels: &[Panel], names: &DisplayNames) -> Vec<String> {
    let fields: Vec<Map<String, Value>> = panels.iter().map(fields).collect();
    let base: Vec<String> = panels.iter().map(|panel| base(panel, names)).collect();
    let mut titles: Vec<String> = Vec::new();
    for at in 0..panels.len() {
        let twins: Vec<usize> = (0..panels.len()).filter(|&other| base[other] == base[at]).collect();
        let mut told: Vec<String> = Vec::new();
        if twins.iter().any(|&twin| panels[twin].kind() != panels[at].kind()) {
            told.push(kind(panels[at].kind()).into());
        }
        let mut keys: Vec<&String> = twins.iter().flat_map(|&twin| fields[twin].keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        // Of another kind, settings that only that kind has tell nothing.
        let peers: Vec<usize> =
            twins.into_iter().filter(|&twin| panels[twin].kind() == panels[at].kind()).collect();
        for key in keys {
            let own = fields[at].get(key);
            if peers.iter().any(|&peer| fields[peer].get(key) != own) {
                told.push(described(key, own));
            }
        }
        told.dedup();
        let title = match told.is_empty() {
            true => base[at].clone(),
            false => format!("{}: {}", base[at], told.join(", ")),
        };
        titles.push(title);
    }
    numbered(titles)
}

/// Titles that are the same for all that (settings that are written alike) are counted.
fn numbered(titles: Vec<String>) -> Vec<String> {
    let number = |at: usize| {
        let same = |title: &&String| **title == titles[at];
        match titles.iter().filter(same).count() {
            1 => titles[at].clone(),
            _ => format!("{} ({})", titles[at], titles[..=at].iter().filter(same).count()),
        }
    };
    (0..titles.len()).map(number).collect()
}

/// `model, en-fr (corpus)`
fn base(panel: &Panel, names: &DisplayNames) -> String {
    let settings = &panel.settings;
    let (model, data) = (names.of(&settings.model), &settings.data);
    let asked = settings.asked.as_ref().map_or("", |asked| &asked.name);
    match settings.direction.as_str() {
        "" if asked.is_empty() || asked == data => format!("{model}, {data}"),
        "" => format!("{model}, {asked} ({data})"),
        direction => format!("{model}, {direction} ({data})"),
    }
}

fn kind(kind: InterventionKind) -> &'static str {
    match kind {
        InterventionKind::Masks => "parts hidden",
        InterventionKind::Windows => "parts hidden in a window of layers",
        InterventionKind::Ablation => "no attention in one layer",
        InterventionKind::Lora => "adapter in one layer",
    }
}

/// The settings that a panel's runs share; those of a training one by one.
fn fields(panel: &Panel) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(panel.shared()) else { return Map::new() };
    // Its name is in the title, where it has one.
    fields.remove("asked");
    fields.insert("metric".into(), panel.metric.to_string().into());
    if let Some(Value::Object(training)) = fields.remove("lora") {
        fields.extend(training);
    }
    fields
}

/// A setting and its value, in words.
fn described(field: &str, value: Option<&Value>) -> String {
    let text = value.map(short);
    match (field, text) {
        ("model_sha256", Some(sha256)) => format!("weights {sha256}"),
        ("data_sha256", Some(sha256)) => format!("text {sha256}"),
        ("chat_template", Some(sha256)) => format!("chat template {sha256}"),
        ("n", Some(n)) => format!("{n} items"),
        ("metric", Some(metric)) => metric,
        ("max_new_tokens", Some(most)) => format!("at most {most} new tokens"),
        ("dtype", Some(dtype)) => format!("weights as {dtype}"),
        ("device", device) => format!("on {}", device.unwrap_or("the CPU".into())),
        ("no_stop", stop) => if stop.is_some() { "no stop rule" } else { "with the stop rule" }.into(),
        ("drop_context", dropped) => {
            if dropped.is_some() { "context dropped" } else { "context kept" }.into()
        }
        ("sampling", None) => "greedy".into(),
        ("sampling", Some(_)) => sampled(value),
        (field, Some(text)) => format!("{} {text}", field.replace('_', " ")),
        (field, None) => format!("no {}", field.replace('_', " ")),
    }
}

fn sampled(value: Option<&Value>) -> String {
    let of = |key: &str| value.and_then(|value| value.get(key)).map(short).unwrap_or_default();
    format!("{} samples at temperature {}, top-p {}", of("samples"), of("temperature"), of("top_p"))
}

/// A value as people write it; of a hash its beginning.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            text[..8].into()
        }
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(short).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_in_words() {
        let told = |field: &str, value: Value| described(field, Some(&value));
        assert_eq!(told("model_sha256", "ab".repeat(32).into()), "weights abababab");
        assert_eq!(told("max_new_tokens", 16.into()), "at most 16 new tokens");
        assert_eq!(
            told("sampling", serde_json::json!({"samples": 3, "temperature": 0.5, "top_p": 1.0})),
            "3 samples at temperature 0.5, top-p 1.0"
        );
        assert_eq!(told("learning_rate", 0.004.into()), "learning rate 0.004");
        assert_eq!(
            ["sampling", "chat_template", "device"].map(|field| described(field, None)),
            ["greedy", "no chat template", "on the CPU"]
        );
    }

    #[test]
    fn the_same_is_counted() {
        let titles = numbered(["a", "b", "a"].map(String::from).to_vec());
        assert_eq!(titles, ["a (1)", "b", "a (2)"]);
    }
}
