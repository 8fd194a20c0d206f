//! Runs -> panels of curves: a panel is what is drawn into one pair of axes.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::cells::{StoredCell, StoredRun};
use super::curve::{Curve, CurveCells};
use super::key::CurveKey;
use super::short::TooShort;
use super::varied::compare;
use crate::base::error::input;
use crate::base::interrupt::check_interrupted;
use crate::intervene::{Condition, Intervention, InterventionKind};
use crate::results::{Settings, TrainedOn};
use crate::tasks::Measure;

/// All curves of one model, corpus and direction under the same settings: of masks, or of ablations.
#[derive(Debug, Clone, Serialize)]
pub struct Panel {
    /// Those of its first run; others differ in format, demonstrations and seed at most.
    pub settings: Settings,
    /// The measure that is looked at.
    pub metric: Measure,
    /// Why no conclusion is drawn from it, if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_short: Option<TooShort>,
    /// Layers of the model.
    pub n_layers: usize,
    /// Sorted as they are to be drawn.
    pub curves: Vec<Curve>,
    /// Its runs, by their places in the study.
    #[serde(skip)]
    pub runs: Vec<usize>,
}

/// Some runs, and the panels they make.
#[derive(Debug, Clone)]
pub struct Study {
    /// Every run.
    pub runs: Vec<StoredRun>,
    /// Sorted by model, corpus, direction.
    pub panels: Vec<Panel>,
}

impl Panel {
    /// What its curves are of.
    pub fn kind(&self) -> InterventionKind {
        self.curves.first().map_or(InterventionKind::Masks, |curve| curve.key.intervention.kind())
    }

    /// Its settings without what may differ within it.
    pub fn shared(&self) -> Settings {
        shared(&self.settings)
    }
}

/// Settings without what may differ within a panel.
fn shared(settings: &Settings) -> Settings {
    let mut shared = settings.clone();
    (shared.format, shared.nprompts, shared.seed) = (String::new(), 0, 0);
    (shared.format_strings, shared.languages, shared.vary) = Default::default();
    if let Some(TrainedOn { pairs_sha256, training }) = &mut shared.lora {
        (training.train_size, *pairs_sha256) = (0, String::new());
    }
    shared
}

impl Study {
    /// Put runs together and compute all statistics of the curves that are wanted.
    ///
    /// # Errors
    /// Two runs hold the same cell.
    pub fn new(runs: Vec<StoredRun>, wanted: impl Fn(&CurveKey) -> bool) -> Result<Self> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, run) in runs.iter().enumerate() {
            let settings = shared(&run.manifest.settings);
            let Settings { model, data, direction, .. } = &settings;
            // Named first, so that panels come in the order of their names; those of one name in the same order for every
            // model.
            let of_any_model =
                Settings { model: String::new(), model_sha256: String::new(), ..settings.clone() };
            let key = format!("{model} {data} {direction} {} {}", of_any_model.hash(), settings.hash());
            groups.entry(key).or_default().push(index);
        }
        let mut panels = Vec::new();
        for members in groups.into_values() {
            check_interrupted()?;
            let Some(mut whole) = panel(&runs, members, &wanted)? else { continue };
            let of_panel: Vec<&StoredRun> = whole.runs.iter().map(|&run| &runs[run]).collect();
            compare(&runs, &of_panel, &mut whole.curves, whole.too_short.is_none());
            let part = |kind: InterventionKind| {
                let curves =
                    whole.curves.iter().filter(|curve| curve.key.intervention.kind() == kind).cloned();
                Panel { curves: curves.collect(), ..whole.clone() }
            };
            let parts = InterventionKind::ALL.map(part);
            panels.extend(parts.into_iter().filter(|panel| !panel.curves.is_empty()));
        }
        Ok(Self { panels, runs })
    }

    /// The panels of several studies, those of one model together.
    pub fn side_by_side(studies: Vec<Self>) -> Self {
        let mut all = Self { runs: Vec::new(), panels: Vec::new() };
        for Self { runs, panels } in studies {
            let first = all.runs.len();
            all.runs.extend(runs);
            all.panels.extend(panels.into_iter().map(|panel| {
                let runs = panel.runs.iter().map(|run| first + run).collect();
                Panel { runs, ..panel }
            }));
        }
        let place = |panel: &Panel| {
            let Settings { model, data, direction, .. } = &panel.settings;
            (model.clone(), data.clone(), direction.clone())
        };
        all.panels.sort_by_key(place);
        all
    }
}

/// Cells in which nothing is done, by format, number of demonstrations, pairs that adapters were trained on, and variation.
type Baselines<'a> = BTreeMap<(String, usize, Option<usize>, String), Vec<&'a StoredCell>>;

/// The mean score of the baselines without demonstrations, beside a curve that has some.
fn zero_shot(baselines: &Baselines, key: &CurveKey) -> Option<f64> {
    let of = |vary: &str| baselines.get(&(key.format.clone(), 0, key.train_size, vary.into()));
    let cells = of("").or_else(|| of("keep=0")).filter(|_| key.nprompts > 0)?;
    Some(cells.iter().map(|cell| cell.score).sum::<f64>() / cells.len() as f64)
}

/// `None` where none of the runs has a finished cell.
fn panel(
    runs: &[StoredRun],
    members: Vec<usize>,
    wanted: &impl Fn(&CurveKey) -> bool,
) -> Result<Option<Panel>> {
    let mut treated: BTreeMap<(CurveKey, usize), Vec<&StoredCell>> = BTreeMap::new();
    let mut baselines = Baselines::new();
    let (mut measured, mut n_layers): (Option<&StoredCell>, usize) = (None, 0);
    let first = &runs[members[0]];
    for run in members.iter().map(|&index| &runs[index]) {
        let settings = &run.manifest.settings;
        check_items(first, run)?;
        for cell in &run.cells {
            let record = &cell.record;
            if n_layers != 0 && n_layers != record.n_layers() {
                return Err(input(format!(
                    "{}: a cell says that the model has {} layers, others say {n_layers}",
                    run.folder.display(),
                    record.n_layers()
                )));
            }
            (measured, n_layers) = (Some(cell), record.n_layers());
            let cells = match record.condition() {
                Condition::Baseline => {
                    let CurveKey { format, nprompts, train_size, vary, .. } =
                        CurveKey::of(settings, Intervention::All);
                    baselines.entry((format, nprompts, train_size, vary)).or_default()
                }
                Condition::At { intervention, layer } => {
                    treated.entry((CurveKey::of(settings, intervention), layer)).or_default()
                }
            };
            if let Some(other) = cells.iter().find(|other| other.record.seed == record.seed) {
                let all = members.iter().map(|&index| &runs[index]);
                return Err(twice(all, other, run, cell));
            }
            cells.push(cell);
        }
    }
    let Some(measured) = measured else { return Ok(None) };
    let metric = measured.items.measure().clone();
    let too_short = TooShort::new(&metric, measured.items.references());
    let mut curves: BTreeMap<CurveKey, Vec<(usize, Vec<&StoredCell>)>> = BTreeMap::new();
    for ((key, layer), cells) in treated {
        curves.entry(key).or_default().push((layer, by_seed(cells)));
    }
    let curves = curves.into_iter().filter(|(key, _)| wanted(key)).map(|(key, layers)| {
        let of = (key.format.clone(), key.nprompts, key.train_size, key.vary.clone());
        let baseline = by_seed(baselines.get(&of).cloned().unwrap_or_default());
        let (zero_shot, conclusive) = (zero_shot(&baselines, &key), too_short.is_none());
        let mut curve = CurveCells { key, n_layers, layers, baseline, conclusive }.curve();
        if let Some(zero_shot) = zero_shot {
            curve.compare_with_zero_shot(zero_shot);
        }
        curve
    });
    let mut curves: Vec<Curve> = curves.collect();
    curves.sort_by_key(|curve| (order(curve.key.intervention), !curve.key.instructed, curve.key.clone()));
    Ok(Some(Panel {
        settings: runs[members[0]].manifest.settings.clone(),
        metric,
        too_short,
        n_layers,
        curves,
        runs: members,
    }))
}

/// Runs of one panel are of the same test items.
fn check_items(first: &StoredRun, run: &StoredRun) -> Result<()> {
    if run.items.iter().map(|item| &item.id).eq(first.items.iter().map(|item| &item.id)) {
        return Ok(());
    }
    Err(input(format!(
        "{} and {}: hold other test items under the same settings",
        first.folder.display(),
        run.folder.display()
    )))
}

/// A point of a curve that two of the runs hold: `other`, and `cell` of `run`.
fn twice<'a>(
    mut all: impl Iterator<Item = &'a StoredRun>,
    other: &StoredCell,
    run: &'a StoredRun,
    cell: &StoredCell,
) -> anyhow::Error {
    let holds = |run: &&StoredRun| run.cells.iter().any(|cell| std::ptr::eq(cell, other));
    let first = all.find(holds).unwrap_or(run);
    input(format!(
        "{} and {}: both hold the cell {}, layer {}, seed {} of one curve; name one of the folders",
        first.folder.display(),
        run.folder.display(),
        cell.record.condition().series(),
        cell.record.condition().start(cell.record.n_layers()),
        cell.record.seed
    ))
}

fn by_seed(mut cells: Vec<&StoredCell>) -> Vec<&StoredCell> {
    cells.sort_by_key(|cell| cell.record.seed);
    cells
}

/// The order of the study's figures.
fn order(intervention: Intervention) -> usize {
    let known = ["TTF", "FTF", "FFT", "TTT", "TFF", "all"];
    known.iter().position(|name| *name == intervention.to_string()).unwrap_or(known.len())
}
