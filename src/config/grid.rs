//! The product of all lists of an experiment: one run for each combination.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::named::{chat, find_format, profile};
use super::resolve::Resolver;
use super::settings::Setting;
use super::{ChatChoice, ChosenTask, Limit, ModelChoice, Run, Training, files, variation};
use crate::base::error::input;
use crate::data::{DataConfig, Direction, is_named_like_one};
use crate::intervene::{Condition, Masks};
use crate::prompt::{Format, Profile, Variation, placeholders};
use crate::tasks::TaskKind;

/// Runs of a grid, and cells of all of them, at most. More would take minutes to plan and years to compute.
const MOST: [usize; 2] = [2_000, 100_000];

/// What is listed, beside the models.
struct Lists {
    data: Vec<DataConfig>,
    /// None where each corpus has its own, if any.
    directions: Vec<Direction>,
    formats: Vec<Format>,
    profiles: Vec<Profile>,
    nprompts: Vec<usize>,
    seeds: Vec<u32>,
    variations: Vec<Variation>,
    chats: Vec<Option<ChatChoice>>,
    trainings: Vec<Option<Training>>,
    max_new_tokens: Option<usize>,
}

impl Lists {
    /// The lists' lengths, with the settings that they come from.
    fn lengths(&self) -> [(&'static str, usize); 9] {
        [
            ("data", self.data.len()),
            ("direction", self.directions.len().max(1)),
            ("format", self.formats.len()),
            ("profile", self.profiles.len()),
            ("nprompts", self.nprompts.len()),
            ("seed", self.seeds.len()),
            ("vary", self.variations.len()),
            ("chat_template", self.chats.len()),
            ("train_size", self.trainings.len()),
        ]
    }

    /// Every combination, of which `base` has what they have in common.
    fn runs(&self, base: Run) -> Vec<Run> {
        let mut runs = each(vec![base], &self.data, |run, data| {
            run.data = data.clone();
            run.direction = data.direction.clone();
        });
        if !self.directions.is_empty() {
            runs = each(runs, &self.directions, |run, direction| run.direction = Some(direction.clone()));
        }
        runs = each(runs, &self.formats, |run, format| {
            run.format = format.clone();
            // Nothing is generated where options are weighed: a run ends with the last row of its prompt, as for one token.
            run.max_new_tokens = match run.task.weighs {
                true => 1,
                false => self.max_new_tokens.or(format.max_new_tokens).unwrap_or(run.task.new_tokens),
            };
        });
        runs = each(runs, &self.profiles, |run, profile| run.profile = *profile);
        runs = each(runs, &self.nprompts, |run, nprompts| run.nprompts = *nprompts);
        runs = each(runs, &self.seeds, |run, seed| run.seed = *seed);
        runs = each(runs, &self.variations, |run, vary| {
            run.vary = vary.clone();
            if let Some(instructions) = &vary.instructions {
                run.format.header = placeholders::escaped(&instructions.text);
            }
        });
        runs = each(runs, &self.chats, |run, chat| run.chat = chat.clone());
        each(runs, &self.trainings, |run, training| run.lora = training.clone())
    }
}

/// Each run with each value.
fn each<T>(runs: Vec<Run>, values: &[T], set: impl Fn(&mut Run, &T)) -> Vec<Run> {
    let mut all = Vec::with_capacity(runs.len() * values.len());
    for run in &runs {
        for value in values {
            let mut run = run.clone();
            set(&mut run, value);
            all.push(run);
        }
    }
    all
}

impl Resolver {
    /// One run for each combination.
    ///
    /// # Errors
    /// An unknown name, an impossible combination, more runs or cells than can be planned.
    pub(super) fn runs(&self, task: &ChosenTask) -> Result<Vec<Run>> {
        let describe = self.describe;
        let models =
            self.each(self.settings.model(), |word, origin| ModelChoice::resolve(word, origin, describe))?;
        let lists = self.lists(task)?;
        let (mut runs, mut count) = (Vec::new(), [0usize; 2]);
        for model in models {
            let (conditions, masks) = match self.training {
                true => (self.adapted(&model)?, Masks::default()),
                false => self.conditions(&model)?,
            };
            self.check_size(&mut count, &lists, conditions.len())?;
            runs.extend(lists.runs(Run { masks, ..self.base(task, &lists, model, conditions)? }));
        }
        runs.iter().try_for_each(|run| self.check(run))?;
        let mut folders = std::collections::HashSet::new();
        match runs.iter().find(|run| !folders.insert(run.folder())) {
            None => Ok(runs),
            Some(run) => Err(input(format!(
                "two runs would share the folder {} because their inputs have the same name; run them separately with \
                 different --results",
                run.folder().display()
            ))),
        }
    }

    fn lists(&self, task: &ChosenTask) -> Result<Lists> {
        let directions = match &self.settings.direction {
            None => Vec::new(),
            _ => self.each(self.settings.direction(), |word, origin| {
                word.parse::<Direction>().map_err(|e| input(format!("{origin}: {e}")))
            })?,
        };
        let mut data = self.data(task.kind)?;
        if directions.is_empty() {
            for data in &mut data {
                let spoken = task.kind.names_languages || data.needs_direction();
                data.direction = if spoken { data.own_direction()? } else { None };
            }
        }
        let narrow = |asked: Setting| -> Result<Vec<u32>> {
            // `numbers` lets nothing through that does not fit.
            Ok(self.numbers(asked)?.into_iter().map(|number| number as u32).collect())
        };
        let nprompts = narrow(self.settings.nprompts())?;
        Ok(Lists {
            data,
            directions,
            formats: self.each(self.settings.format(), |word, origin| {
                match task.prompt.as_ref().filter(|prompt| prompt.name == word) {
                    Some(prompt) => Ok(prompt.clone()),
                    None => find_format(word, origin),
                }
            })?,
            profiles: self.each(self.settings.profile(), profile)?,
            nprompts: nprompts.into_iter().map(|number| number as usize).collect(),
            seeds: narrow(self.settings.seed())?,
            variations: match &self.settings.vary {
                None => vec![Variation::default()],
                _ => self.each(self.settings.vary(), variation)?,
            },
            chats: self.chats()?,
            trainings: match self.training {
                true => self.trainings()?.into_iter().map(Some).collect(),
                false => vec![None],
            },
            max_new_tokens: match &self.settings.max_new_tokens {
                None => None,
                _ => Some(self.count(self.settings.max_new_tokens())?),
            },
        })
    }

    /// Refuse a grid that is too large, before it is made.
    fn check_size(&self, count: &mut [usize; 2], lists: &Lists, cells: usize) -> Result<()> {
        let lengths = lists.lengths();
        let runs = lengths.iter().fold(1, |product: usize, (_, length)| product.saturating_mul(*length));
        *count = [count[0].saturating_add(runs), count[1].saturating_add(runs.saturating_mul(cells))];
        if count[0] <= MOST[0] && count[1] <= MOST[1] {
            return Ok(());
        }
        let longest = lengths.iter().max_by_key(|(_, length)| length).map_or("seed", |(field, _)| field);
        Err(input(format!(
            "{}: the product of all lists has more than {} runs or {} cells; write shorter lists, in several calls",
            self.origins.of(longest),
            MOST[0],
            MOST[1]
        )))
    }

    /// A run of the first of all lists, with what is not listed.
    fn base(
        &self,
        task: &ChosenTask,
        lists: &Lists,
        model: ModelChoice,
        conditions: Vec<Condition>,
    ) -> Result<Run> {
        let first = "a list is empty";
        let (data, format) = (lists.data.first(), lists.formats.first());
        let drop_context = self.yes_or_no(self.settings.drop_context())?;
        Ok(Run {
            task: task.kind,
            asked: task.asked.clone(),
            model,
            data: data.ok_or_else(|| input(first))?.clone(),
            direction: None,
            format: format.ok_or_else(|| input(first))?.clone(),
            nprompts: 0,
            seed: 0,
            vary: Variation::default(),
            profile: Profile::Exact,
            chat: None,
            limit: self.limit()?,
            max_new_tokens: task.kind.new_tokens,
            // Times are those of the same number of tokens.
            no_stop: self.yes_or_no(self.settings.no_stop())? || drop_context,
            drop_context,
            sampling: self.sampling()?,
            adapter: self.adapter()?,
            lora: None,
            conditions,
            others: Vec::new(),
            masks: Masks::default(),
        })
    }

    /// How many test items: a number that the user did not ask for is a default, which smaller corpora may fall short of.
    fn limit(&self) -> Result<Limit> {
        Ok(match self.count_or_all(self.settings.limit())? {
            None => Limit::All,
            Some(count) if self.origins.is_asked_for("limit") => Limit::First(count),
            Some(count) => Limit::AtMost(count),
        })
    }

    /// With a chat template, without, or both; two templates would write into one folder.
    fn chats(&self) -> Result<Vec<Option<ChatChoice>>> {
        let asked = self.settings.chat_template();
        if asked.words.is_none() {
            return Ok(vec![None]);
        }
        let chats = self.each(asked, chat)?;
        let mut chosen = chats.iter().flatten();
        let first = chosen.next();
        if chosen.any(|chat| Some(chat) != first) {
            return Err(input(format!(
                "{}: takes one template a call, because the results of two would share a folder; run them separately with \
                 different --results",
                self.origins.of("chat_template")
            )));
        }
        Ok(chats)
    }

    fn data(&self, task: &'static TaskKind) -> Result<Vec<DataConfig>> {
        let file = |asked: Setting| match asked.words {
            None => Ok(None),
            Some(_) => self.one(asked).map(|file| Some(PathBuf::from(file))),
        };
        let test = file(self.settings.test())?;
        let demonstrations = file(self.settings.demonstrations())?;
        if let Some(test) = test {
            return Ok(vec![task.one_off(&test, demonstrations.as_deref())]);
        }
        let data = self.each(self.settings.data(), |word, origin| {
            if is_named_like_one(word) {
                return Ok(task.one_off(Path::new(word), demonstrations.as_deref()));
            }
            let file = files::find("data", word, origin)?;
            DataConfig::parse(&file.text, &file.path)
        })?;
        match (&demonstrations, data.iter().find(|data| data.origin.is_some())) {
            (Some(_), Some(named)) => Err(input(format!(
                "{}: the corpus {} has its own demonstrations; give the test items as a file too, with --test",
                self.origins.of("demonstrations"),
                named.name
            ))),
            _ => Ok(data),
        }
    }
}
