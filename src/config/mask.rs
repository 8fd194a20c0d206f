//! What is hidden: words of `--mask`, files of `configs/mask/`, and the flags that write a rule.

use anyhow::Result;
use serde::{Deserialize, Deserializer, de};

use super::files::{self, ConfigFile};
use super::resolve::Resolver;
use super::settings::parse_yaml;
use crate::base::error::{input, suggest};
use crate::intervene::{
    ABLATION, Intervention, LORA, MaskName, Reach, Rule, Rules, Series, SpanList, Steps, UnknownMask,
};

/// A series, and what its mask hides where rules say so.
pub type ChosenMask = (Series, Option<(MaskName, Rules)>);

/// A mask as it is written, before flags change it.
enum Written {
    /// One that the program knows, or the baseline.
    Known(Series),
    /// Rules, with what they are called.
    Rules(String, Rules),
}

/// A file of `configs/mask/`: a mask by its letters, one rule, or several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskFile {
    #[serde(default, rename = "description")]
    _description: String,
    mask: Option<Letters>,
    rules: Option<Rules>,
    hide: Option<SpanList>,
    readers: Option<SpanList>,
    layers: Option<Reach>,
    steps: Option<Steps>,
}

/// A mask that the program knows, as a file writes it.
struct Letters(Series);

impl<'de> Deserialize<'de> for Letters {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        match Series::deserialize(input)? {
            Series::Of(Intervention::Rules(name)) => Err(de::Error::custom(UnknownMask(name.to_string()))),
            series => Ok(Self(series)),
        }
    }
}

/// Its keys.
const KEYS: [&str; 7] = ["description", "mask", "rules", "hide", "readers", "layers", "steps"];

/// Settings that write or change a rule.
const RULES: [&str; 4] = ["hide", "readers", "window", "steps"];

/// A mask by its letters, or by the name of a file of `configs/mask/`.
fn find_mask(word: &str, origin: &str) -> Result<Written> {
    if let Some(file) = files::try_find("mask", word)? {
        return from_file(file);
    }
    if word == ABLATION {
        return Err(input(format!("{origin}: `{word}` is a flag, not a mask: write --{ABLATION} LAYERS")));
    }
    if word == LORA {
        return Err(input(format!("{origin}: `{word}` is a verb, not a mask: icl-mask {LORA}")));
    }
    match word.parse() {
        // A name without a file.
        Ok(Series::Of(Intervention::Rules(_))) | Err(_) => {
            let known = files::names("mask");
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(input(format!("{origin}: {}; {}", UnknownMask(word.into()), suggest(word, &known))))
        }
        Ok(series) => Ok(Written::Known(series)),
    }
}

fn from_file(file: ConfigFile) -> Result<Written> {
    let read: MaskFile = parse_yaml(&file.path, &file.text, &KEYS)?;
    let refuse = |what: &str| Err(input(format!("{}: {what}", file.path.display())));
    let of_a_rule =
        read.hide.is_some() || read.readers.is_some() || read.layers.is_some() || read.steps.is_some();
    let rules = match (read.mask, read.rules, read.hide) {
        (Some(Letters(series)), None, None) if !of_a_rule => return Ok(Written::Known(series)),
        (None, Some(Rules(rules)), None) if !of_a_rule && !rules.is_empty() => rules,
        (None, None, Some(hide)) => {
            let (readers, layers, steps) = (read.readers, read.layers.unwrap_or_default(), read.steps);
            vec![Rule { hide, readers, layers, steps }]
        }
        (None, None, None) => {
            return refuse("says nothing of what is hidden; write `hide`, `rules` or `mask`");
        }
        _ => {
            return refuse(
                "`mask`, `rules` and the keys of one rule (`hide`, `readers`, `layers`, `steps`) exclude each other",
            );
        }
    };
    if read_as_letters(&file.name) {
        return refuse("the file has the name of a mask that the program knows; rename it");
    }
    // Flags add `+readers=...` to a name.
    if file.name.contains(['+', '=']) {
        return refuse("the file is called as flags call a mask; rename it, without + and =");
    }
    Ok(Written::Rules(file.name, Rules(rules)))
}

/// Whether a name means a mask that the program knows.
fn read_as_letters(name: &str) -> bool {
    matches!(name.parse::<Series>(), Ok(series) if !matches!(series, Series::Of(Intervention::Rules(_))))
}

/// What a mask of letters hides, as a rule.
fn as_rule(series: Series) -> Option<Rule> {
    let Series::Of(Intervention::Segments { instructions, examples, query }) = series else { return None };
    let parts = [(instructions, "instructions"), (examples, "examples"), (query, "query")];
    let hidden: Vec<&str> = parts.into_iter().filter(|(hidden, _)| *hidden).map(|(_, name)| name).collect();
    let hide = hidden.join(",").parse().ok()?;
    Some(Rule { hide, readers: None, layers: Reach::From, steps: None })
}

impl Resolver {
    /// The masks of an experiment: each mask that is named, with what the flags say beside it. `ablated`: the attention of layers is
    /// taken out, so the baseline is enough where no mask is asked for.
    ///
    /// # Errors
    /// A word that means nothing; flags that have no effect on the masks; two masks of one name.
    pub(super) fn masks(&self, ablated: bool) -> Result<Vec<ChosenMask>> {
        let is_asked_for = self.origins.is_asked_for("mask");
        let hide = self.words_of_spans(self.settings.hide())?;
        let named = match (&hide, is_asked_for) {
            (Some(_), false) => vec![Written::Known(Series::Baseline)],
            (None, false) if ablated && self.rule_setting().is_none() => {
                vec![Written::Known(Series::Baseline)]
            }
            _ => self.each(self.settings.mask(), find_mask)?,
        };
        let mut written = named;
        if let Some(hide) = hide {
            if let Some(other) = written.iter().find(|one| !matches!(one, Written::Known(Series::Baseline))) {
                let other = match other {
                    Written::Known(series) => series.to_string(),
                    Written::Rules(name, _) => name.clone(),
                };
                return Err(input(format!(
                    "{}: the mask {other} says what is hidden, too; leave one of them out",
                    self.origins.of("hide")
                )));
            }
            let rule = Rule { hide, readers: None, layers: Reach::From, steps: None };
            written.push(Written::Rules(rule.to_string(), Rules(vec![rule])));
        }
        let windows: Vec<Option<usize>> = match &self.settings.window {
            None => vec![None],
            _ => self
                .numbers(self.settings.window())?
                .into_iter()
                .map(|window| Some(window as usize))
                .collect(),
        };
        if windows.contains(&Some(0)) {
            return Err(input(format!("{}: a window has at least one layer", self.origins.of("window"))));
        }
        let mut chosen: Vec<ChosenMask> = Vec::new();
        for one in &written {
            for &window in &windows {
                let mask = self.changed(one, window)?;
                match chosen.iter().find(|(series, _)| *series == mask.0) {
                    None => chosen.push(mask),
                    Some((_, rules)) if *rules == mask.1 => {}
                    Some((series, _)) => {
                        return Err(input(format!(
                            "{}: two masks with different rules are called {series}; rename one of the files",
                            self.origins.of("mask")
                        )));
                    }
                }
            }
        }
        if let Some(field) = self.rule_setting().filter(|_| chosen.iter().all(|(_, rules)| rules.is_none())) {
            return Err(input(format!(
                "{}: no mask hides anything that this could change; write --hide SPANS, or --mask",
                self.origins.of(field)
            )));
        }
        Ok(chosen)
    }

    /// The first setting that writes or changes a rule, if there is one.
    fn rule_setting(&self) -> Option<&'static str> {
        let given = self.settings.given();
        RULES.into_iter().find(|rule| given.iter().any(|(field, _)| field == rule))
    }

    /// A mask as the flags change it.
    fn changed(&self, written: &Written, window: Option<usize>) -> Result<ChosenMask> {
        let readers = self.words_of_spans(self.settings.readers())?;
        let steps = match &self.settings.steps {
            None => None,
            _ => {
                let word = self.one(self.settings.steps())?;
                let steps = word.parse::<Steps>();
                Some(steps.map_err(|error| input(format!("{}: {error}", self.origins.of("steps"))))?)
            }
        };
        let changes = readers.is_some() || steps.is_some() || window.is_some();
        let (mut name, mut rules) = match written {
            Written::Known(series) if !changes || *series == Series::Baseline => return Ok((*series, None)),
            Written::Known(series) => match as_rule(*series) {
                Some(rule) => (series.to_string(), Rules(vec![rule])),
                None => {
                    let field = self.rule_setting().unwrap_or("readers");
                    return Err(input(format!(
                        "{}: has no effect on the mask {series}, which hides by rows; leave one of them out",
                        self.origins.of(field)
                    )));
                }
            },
            Written::Rules(name, rules) => (name.clone(), rules.clone()),
        };
        for rule in &mut rules.0 {
            if let Some(readers) = &readers {
                rule.readers = Some(readers.clone());
            }
            if let Some(window) = window {
                rule.layers = Reach::Window(window);
            }
            if let Some(steps) = steps {
                rule.steps = Some(steps);
            }
        }
        if let Some(readers) = &readers {
            name += &format!("+readers={readers}");
        }
        if let Some(window) = rules.window() {
            name += &format!("+window={window}");
        }
        if let Some(steps) = steps {
            name += &format!("+steps={steps}");
        }
        let found = MaskName::new(&name).ok_or_else(|| {
            input(format!(
                "{}: `{name}` cannot be the name of a folder; write the rules into a file of configs/mask with a short name of \
                 letters, digits, - and _",
                self.origins.of("mask")
            ))
        })?;
        Ok((Series::Of(Intervention::Rules(found)), Some((found, rules))))
    }

    /// A comma list of spans.
    fn words_of_spans(&self, asked: super::settings::Setting) -> Result<Option<SpanList>> {
        if asked.words.is_none() {
            return Ok(None);
        }
        let list = self.list(asked)?.join(",").parse::<SpanList>();
        list.map(Some).map_err(|error| {
            input(format!(
                "{}: {error}; icl-mask show --json lists the names that a prompt has",
                self.origins.of(asked.name)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Written> {
        from_file(ConfigFile {
            name: "mine".into(),
            path: "configs/mask/mine.yaml".into(),
            text: text.into(),
        })
    }

    #[test]
    fn a_file_is_letters_or_rules() {
        assert!(matches!(read("mask: TTF\ndescription: x\n"), Ok(Written::Known(_))));
        let Ok(Written::Rules(name, rules)) = read("hide: examples\nreaders: last\n") else {
            panic!("a rule")
        };
        assert_eq!((name.as_str(), rules.0.len()), ("mine", 1));
        let Ok(Written::Rules(_, rules)) = read("rules:\n- {hide: examples}\n- {hide: query, steps: 1..}\n")
        else {
            panic!("rules")
        };
        assert_eq!(rules.0[1].to_string(), "hide=query+steps=1..");
        for (text, says) in [
            ("description: nothing\n", "says nothing of what is hidden"),
            ("rules: []\n", "exclude each other"),
            ("mask: TTF\nhide: query\n", "exclude each other"),
            ("rules: [{hide: examples}]\nreaders: last\n", "exclude each other"),
            ("readers: last\n", "says nothing of what is hidden"),
            ("hide: examplse[0\n", "is not the name of a span"),
            ("hidde: examples\n", "unknown key `hidde`"),
        ] {
            let said = read(text).err().expect(text).to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }

    #[test]
    fn letters_become_rules() {
        let rule = |mask: &str| as_rule(mask.parse().expect("a mask")).map(|rule| rule.to_string());
        assert_eq!(rule("TTF"), Some("hide=instructions,examples".into()));
        assert_eq!((rule("all"), rule("none")), (None, None));
    }
}
