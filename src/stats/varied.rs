//! Varied runs and their twins: the runs that have the same settings, but no variation of the prompts.

use rayon::prelude::*;

use super::cells::StoredRun;
use super::curve::{Curve, SeedScore};
use super::effect::{Side, Varied, common, effect};
use super::key::CurveKey;
use crate::intervene::Condition;
use crate::prompt::Variation;
use crate::results::Settings;

/// Say of each cell of the varied curves of a panel how it differs from the same cell without the variation. `runs` are all
/// runs that are there, `of_panel` those of the panel: a run with more or fewer test items belongs to another panel.
pub fn compare(runs: &[StoredRun], of_panel: &[&StoredRun], curves: &mut [Curve], conclusive: bool) {
    for curve in curves.iter_mut().filter(|curve| !curve.key.vary.is_empty()) {
        let of_curve =
            |run: &&&StoredRun| CurveKey::of(&run.manifest.settings, curve.key.intervention) == curve.key;
        let all: Vec<Twins> =
            of_panel.iter().filter(of_curve).filter_map(|run| Twins::new(run, runs)).collect();
        let Some(varied) = all.first().map(Twins::words) else { continue };
        let compared = |condition: Condition, seeds: &[SeedScore]| {
            let of_seeds =
                |twins: &&Twins| seeds.iter().any(|score| score.seed == twins.varied.manifest.settings.seed);
            let pairs: Vec<[Side; 2]> =
                all.iter().filter(of_seeds).filter_map(|twins| twins.pair(condition)).collect();
            effect(&pairs, conclusive)
        };
        if let Some(baseline) = &mut curve.baseline {
            baseline.effect = compared(Condition::Baseline, &baseline.seeds);
        }
        let intervention = curve.key.intervention;
        curve.points.par_iter_mut().for_each(|point| {
            point.effect = compared(Condition::At { intervention, layer: point.layer }, &point.seeds);
        });
        let mut effects = curve.points.iter().map(|point| &point.effect);
        let of_baseline = curve.baseline.as_ref().is_some_and(|baseline| baseline.effect.is_some());
        if of_baseline || effects.any(Option::is_some) {
            curve.varied = Some(varied);
        }
    }
}

/// A run with a variation, and the runs of the same settings without it.
struct Twins<'a> {
    varied: &'a StoredRun,
    by: &'a Variation,
    unvaried: Vec<&'a StoredRun>,
}

impl<'a> Twins<'a> {
    /// `None` where the run varies nothing.
    fn new(varied: &'a StoredRun, runs: &'a [StoredRun]) -> Option<Self> {
        let by = varied.manifest.settings.vary.as_ref()?;
        let rest = without(&varied.manifest.settings, by);
        let is_twin = |run: &&StoredRun| {
            let settings = &run.manifest.settings;
            settings.vary.is_none() && without(settings, by) == rest
        };
        Some(Self { varied, by, unvaried: runs.iter().filter(is_twin).collect() })
    }

    fn words(&self) -> Varied {
        let (by, than) = self.by.words();
        Varied { by, than }
    }

    /// The cell of a condition in the varied run and in the other one. Of several others that have the cell, take the one that
    /// shares most items: such cells are the same but for their items.
    fn pair(&self, condition: Condition) -> Option<[Side<'a>; 2]> {
        let varied = Side::of(self.varied, condition)?;
        let others = self.unvaried.iter().filter_map(|run| Side::of(run, condition));
        let other = others.max_by_key(|other| common(&[[varied.clone(), other.clone()]]).len())?;
        Some([varied, other])
    }
}

/// Settings without the variation and without what it changes. The number of test items does not matter either.
fn without(settings: &Settings, vary: &Variation) -> Settings {
    let mut rest = Settings { vary: None, n: 0, ..settings.clone() };
    if vary.instructions.is_some() {
        (rest.format_strings.header, rest.languages) = (String::new(), None);
    }
    rest
}
