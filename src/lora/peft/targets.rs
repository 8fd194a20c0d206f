//! Which modules a configuration of PEFT names, with the rank and scale of each: `target_modules` and its neighbours.

use serde_json::{Map, Value};

use super::pattern::Pattern;
use crate::model::Family;

/// The modules that an adapter changes.
#[derive(Debug)]
pub struct Targets {
    included: Included,
    excluded: Option<ModuleNames>,
    /// Layers alone that are changed; `None`: all.
    layers: Option<Vec<u64>>,
    /// The names that may precede a layer's number; none: any name.
    before_layer: Vec<String>,
}

#[derive(Debug)]
enum Included {
    /// Those that PEFT takes of the family by itself.
    Usual,
    /// Every linear layer but the vocabulary projection.
    AllLinear,
    Named(ModuleNames),
}

/// Modules by their names.
#[derive(Debug)]
enum ModuleNames {
    /// By a regular expression.
    Pattern(Pattern),
    /// By their names, or the ends of them from a dot on.
    Ends(Vec<String>),
}

impl ModuleNames {
    /// `None` for what is neither a list of names nor an expression that is read.
    fn new(value: &Value) -> Option<Self> {
        match value {
            Value::String(expression) => Pattern::whole(expression).map(Self::Pattern),
            _ => strings(value).map(Self::Ends),
        }
    }

    fn name(&self, module: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(module),
            Self::Ends(ends) => ends.iter().any(|end| is_end(module, end)),
        }
    }
}

/// All of a name, or its end from a dot on.
fn is_end(module: &str, end: &str) -> bool {
    module.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|word| word.as_str().map(String::from)).collect()
}

impl Targets {
    /// What the configuration says. The error is the key whose value is not read.
    pub fn new(config: &Map<String, Value>) -> Result<Self, &'static str> {
        let of = |key: &str| config.get(key).filter(|value| !value.is_null());
        let included = match of("target_modules") {
            None => Included::Usual,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("all-linear") => Included::AllLinear,
            Some(value) => Included::Named(ModuleNames::new(value).ok_or("target_modules")?),
        };
        let excluded = of("exclude_modules").filter(|value| !matches!(value.as_str(), Some("")));
        let excluded = excluded.map(|value| ModuleNames::new(value).ok_or("exclude_modules")).transpose()?;
        let layers = of("layers_to_transform").map(|value| match value.as_array() {
            None => value.as_u64().map(|layer| vec![layer]),
            Some(layers) => layers.iter().map(Value::as_u64).collect(),
        });
        let layers = layers.map(|layers| layers.ok_or("layers_to_transform")).transpose()?;
        let before_layer = match of("layers_pattern") {
            None => Vec::new(),
            Some(Value::String(word)) if word.is_empty() => Vec::new(),
            Some(Value::String(word)) => vec![word.clone()],
            Some(value) => strings(value).ok_or("layers_pattern")?,
        };
        let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match &included {
            _ if !before_layer.iter().all(plain) => Err("layers_pattern"),
            // As PEFT refuses them.
            _ if layers.is_none() && !before_layer.is_empty() => Err("layers_pattern"),
            Included::Named(ModuleNames::Pattern(_)) | Included::AllLinear if layers.is_some() => {
                Err("layers_to_transform")
            }
            _ => Ok(Self {
                included,
                excluded,
                layers: layers.filter(|layers| !layers.is_empty()),
                before_layer,
            }),
        }
    }

    /// Whether PEFT would change a module of a model of the family, which goes by any of these names.
    pub fn name(&self, names: &[String], family: Family) -> bool {
        let excluded = |name: &String| self.excluded.as_ref().is_some_and(|excluded| excluded.name(name));
        !names.iter().any(excluded) && names.iter().any(|name| self.includes(name, family))
    }

    fn includes(&self, module: &str, family: Family) -> bool {
        let ends: &[&str] = match &self.included {
            Included::AllLinear => return true,
            Included::Named(ModuleNames::Pattern(pattern)) => return pattern.matches(module),
            // A whole name is meant whatever its layer.
            Included::Named(ModuleNames::Ends(ends)) if ends.iter().any(|end| end == module) => return true,
            Included::Named(ModuleNames::Ends(ends)) => &ends.iter().map(String::as_str).collect::<Vec<_>>(),
            Included::Usual => usual(family),
        };
        ends.iter().any(|end| is_end(module, end)) && self.is_in_layer(module)
    }

    /// Whether a module's layer is one of those that are changed.
    fn is_in_layer(&self, module: &str) -> bool {
        let Some(layers) = &self.layers else { return true };
        let parts: Vec<&str> = module.split('.').collect();
        let number = |at: usize| parts[at].parse::<u64>().ok().filter(|_| at + 1 < parts.len());
        let layer = match self.before_layer.as_slice() {
            // The first number behind two names.
            [] => (2..parts.len()).find_map(number),
            some => some
                .iter()
                .find_map(|before| (1..parts.len()).filter(|&at| parts[at - 1] == before).find_map(number)),
        };
        layer.is_some_and(|layer| layers.contains(&layer))
    }
}

/// The modules that PEFT changes where `target_modules` is not said.
fn usual(family: Family) -> &'static [&'static str] {
    match family {
        Family::Llama
        | Family::Qwen2
        | Family::Qwen3
        | Family::Mistral
        | Family::Mixtral
        | Family::GptNeo
        | Family::Gemma2
        | Family::Gemma3
        | Family::Gptj
        | Family::Opt
        | Family::Stablelm => &["q_proj", "v_proj"],
        Family::Bloom | Family::GptNeox | Family::Falcon => &["query_key_value"],
        Family::Gpt2 => &["c_attn"],
        // PEFT asks for them.
        Family::Starcoder2
        | Family::Ministral
        | Family::Smollm3
        | Family::Qwen3Moe
        | Family::Olmoe
        | Family::Granitemoe
        | Family::GptOss
        | Family::Olmo2
        | Family::Olmo3
        | Family::Granite
        | Family::Phi3
        | Family::Cohere => &[],
    }
}

/// `rank_pattern` and `alpha_pattern`: values of some modules, by expressions, the first one that matches.
#[derive(Debug)]
pub struct ByModule<T>(Vec<(Pattern, T)>);

impl<T: Copy> ByModule<T> {
    /// The patterns in the file's order; `None` where one is not read, or `value` refuses its value.
    pub fn new(patterns: Option<&Value>, value: impl Fn(&Value) -> Option<T>) -> Option<Self> {
        match patterns {
            None | Some(Value::Null) => Some(Self(Vec::new())),
            Some(Value::Object(patterns)) => {
                let one = |(key, found): (&String, &Value)| Some((Pattern::end(key)?, value(found)?));
                patterns.iter().map(one).collect::<Option<_>>().map(Self)
            }
            Some(_) => None,
        }
    }

    /// The value of a module that goes by any of these names.
    pub fn of(&self, names: &[String]) -> Option<T> {
        let matches = |pattern: &Pattern| names.iter().any(|name| pattern.matches(name));
        self.0.iter().find(|(pattern, _)| matches(pattern)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(config: Value, module: &str) -> bool {
        Targets::new(config.as_object().unwrap()).unwrap().name(&[module.into()], Family::Llama)
    }

    #[test]
    fn layers_are_the_first_number_or_that_behind_a_pattern() {
        let config =
            json!({"target_modules": ["q_proj"], "layers_to_transform": [1, 3], "layers_pattern": null});
        assert!(names(config.clone(), "model.layers.1.self_attn.q_proj"));
        assert!(!names(config.clone(), "model.layers.2.self_attn.q_proj"));
        assert!(!names(config.clone(), "layers.1.self_attn.q_proj"), "no name precedes `layers`");
        assert!(!names(config, "model.layers.1.self_attn.k_proj"));
        let config =
            json!({"target_modules": ["q_proj"], "layers_to_transform": 1, "layers_pattern": "layers"});
        assert!(names(config.clone(), "layers.1.self_attn.q_proj"));
        assert!(!names(config, "h.1.self_attn.q_proj"));
    }

    #[test]
    fn a_whole_name_is_meant_in_any_layer() {
        let whole = "model.layers.0.self_attn.q_proj";
        let config = json!({"target_modules": [whole], "layers_to_transform": [5]});
        assert!(names(config, whole));
    }

    #[test]
    fn what_is_excluded_is_not_changed() {
        let config = json!({"target_modules": "all-linear", "exclude_modules": ["q_proj"]});
        assert!(!names(config.clone(), "model.layers.0.self_attn.q_proj"));
        assert!(names(config, "model.layers.0.self_attn.k_proj"));
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (config, key) in [
            (json!({"target_modules": 3}), "target_modules"),
            (json!({"target_modules": r"a\h"}), "target_modules"),
            (json!({"target_modules": ["q"], "exclude_modules": {}}), "exclude_modules"),
            (json!({"target_modules": ["q"], "layers_to_transform": "1"}), "layers_to_transform"),
            (json!({"target_modules": ".*q", "layers_to_transform": [1]}), "layers_to_transform"),
            (json!({"target_modules": ["q"], "layers_pattern": "h"}), "layers_pattern"),
            (
                json!({"target_modules": ["q"], "layers_to_transform": [1], "layers_pattern": "h.*"}),
                "layers_pattern",
            ),
        ] {
            assert_eq!(Targets::new(config.as_object().unwrap()).unwrap_err(), key, "{config}");
        }
    }
}
