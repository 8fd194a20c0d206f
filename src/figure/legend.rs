//! What the lines and levels of a sheet look like and are called, the same in all of its charts.

use super::chart::{COLOURS, Dashes, INK, Level, colour};
use super::label::{labels, setting};
use super::sheet::{LegendEntry, Sign};
use super::svg::TextPart;
use crate::intervene::InterventionKind;
use crate::stats::{Baseline, Curve, CurveKey, Panel, Point};

/// What a panel's curves are called.
pub fn names(panel: &Panel) -> Vec<Vec<TextPart>> {
    labels(&panel.curves.iter().map(|curve| &curve.key).collect::<Vec<_>>())
}

/// Styles of curves by what they are called.
pub struct Styles {
    known: Vec<(Vec<TextPart>, usize)>,
}

impl Styles {
    pub fn new(panels: &[Panel]) -> Self {
        let mut known: Vec<(Vec<TextPart>, usize)> = Vec::new();
        for panel in panels {
            for (label, curve) in names(panel).into_iter().zip(&panel.curves) {
                if known.iter().any(|(other, _)| *other == label) {
                    continue;
                }
                let free = |style: &usize| known.iter().all(|(_, taken)| taken != style);
                let own = Some(usual(&curve.key)).filter(free);
                let style = own.or_else(|| (0..COLOURS.len()).find(free)).unwrap_or(known.len());
                known.push((label, style));
            }
        }
        Self { known }
    }

    pub fn of(&self, label: &[TextPart]) -> usize {
        self.known.iter().find(|(known, _)| known == label).map_or(0, |(_, style)| *style)
    }

    pub fn legend(&self) -> Vec<LegendEntry> {
        let entry = |(label, style): &(Vec<TextPart>, usize)| LegendEntry {
            sign: Sign::Line(*style),
            label: label.clone(),
        };
        self.known.iter().map(entry).collect()
    }
}

/// The style that an intervention has in every figure.
fn usual(key: &CurveKey) -> usize {
    match (key.intervention.to_string().as_str(), key.instructed) {
        ("TTF", true) => 0,
        ("FTF", true) => 1,
        ("FTF" | "TTF", false) => 2,
        ("FFT", _) => 3,
        ("TTT", _) => 4,
        ("TFF", _) => 5,
        ("all", _) => 6,
        _ => 0,
    }
}

/// Dashes of baselines, one after the other: long, dots, both, and so on.
const DASHES: [&str; 5] = ["7 4", "1.5 2.5", "10 3 1.5 3", "3 3", "12 5"];

/// The baselines of a sheet: dashes and colour by what they are called.
pub struct Levels<'a> {
    styles: &'a Styles,
    panels: &'a [Panel],
    known: Vec<(String, Dashes)>,
}

impl<'a> Levels<'a> {
    pub fn new(styles: &'a Styles, panels: &'a [Panel]) -> Self {
        Self { styles, panels, known: Vec::new() }
    }

    /// The levels of a panel's baselines, each once.
    pub fn of(&mut self, panel: &Panel) -> Vec<Level> {
        let mut levels = Vec::new();
        for (curve, baseline) in baselines(panel) {
            let name = self.name(panel, &curve.key, baseline);
            let look = match self.known.iter().find(|(known, _)| *known == name) {
                Some((_, look)) => *look,
                None => self.add(name, panel, curve),
            };
            levels.push(Level { value: baseline.score, look });
        }
        levels
    }

    /// The first is black; another has the colour of the first curve that is compared with it.
    fn add(&mut self, name: String, panel: &Panel, curve: &Curve) -> Dashes {
        let nth = self.known.len();
        let label =
            panel.curves.iter().position(|other| other.key == curve.key).map(|at| names(panel)[at].clone());
        let own = label.map_or(INK, |label| colour(self.styles.of(&label)));
        let colour = if nth == 0 { INK } else { own };
        let look = Dashes { colour, dash: DASHES[nth % DASHES.len()] };
        self.known.push((name, look));
        look
    }

    /// What a baseline is called: what nothing was done to, and its prompts where those of the sheet differ.
    fn name(&self, panel: &Panel, key: &CurveKey, baseline: &Baseline) -> String {
        let undone = match panel.kind() {
            InterventionKind::Ablation => "all attention",
            InterventionKind::Lora => "no adapter",
            InterventionKind::Masks | InterventionKind::Windows => "nothing hidden",
        };
        let of_kind = self.panels.iter().filter(|other| other.kind() == panel.kind());
        let all: Vec<(&CurveKey, &Baseline)> =
            of_kind.flat_map(baselines).map(|(curve, baseline)| (&curve.key, baseline)).collect();
        let mut name = undone.to_string();
        if panel.kind() == InterventionKind::Ablation
            || all.iter().any(|(other, _)| setting(other) != setting(key))
        {
            name += &format!(", {}", setting(key));
        }
        if all.iter().any(|(other, _)| setting(other) == setting(key) && other.format != key.format) {
            name += &format!(" ({})", key.format);
        }
        if all.iter().any(|(other, _)| other.vary != key.vary) {
            name += &format!(" ({})", if key.vary.is_empty() { "as it is" } else { &key.vary });
        }
        let here = baselines(panel);
        let of = |key: &CurveKey| (key.format.clone(), key.nprompts, key.vary.clone());
        let twin =
            |(other, of_other): &&(&Curve, &Baseline)| of(&other.key) == of(key) && *of_other != baseline;
        if here.iter().any(|other| twin(&other)) {
            let seeds: Vec<String> = baseline.seeds.iter().map(|seed| seed.seed.to_string()).collect();
            name += &format!(", seeds {}", seeds.join(", "));
        }
        name
    }

    pub fn legend(&self) -> Vec<LegendEntry> {
        let entry = |(name, look): &(String, Dashes)| LegendEntry {
            sign: Sign::Level(*look),
            label: vec![TextPart::plain(name)],
        };
        self.known.iter().map(entry).collect()
    }
}

/// The baselines of a panel's curves, each once, with the first curve that is compared with it.
fn baselines(panel: &Panel) -> Vec<(&Curve, &Baseline)> {
    let mut all: Vec<(&Curve, &Baseline)> = Vec::new();
    for curve in &panel.curves {
        let Some(baseline) = &curve.baseline else { continue };
        if !all.iter().any(|(other, of_other)| is_same(&curve.key, baseline, &other.key, of_other)) {
            all.push((curve, baseline));
        }
    }
    all
}

/// Two baselines of the same prompts and seeds are one.
pub(super) fn is_same(a: &CurveKey, of_a: &Baseline, b: &CurveKey, of_b: &Baseline) -> bool {
    let seeds = |baseline: &Baseline| baseline.seeds.iter().map(|seed| seed.seed).collect::<Vec<_>>();
    (&a.format, a.nprompts, &a.vary, seeds(of_a)) == (&b.format, b.nprompts, &b.vary, seeds(of_b))
}

/// What bands are, if some points have any.
pub fn bands(panels: &[Panel], of: impl Fn(&Point) -> Option<[f64; 2]>) -> Option<LegendEntry> {
    let curves = || panels.iter().flat_map(|panel| &panel.curves);
    let drawn = |curve: &&Curve| curve.points.iter().all(|point| of(point).is_some());
    let points: Vec<&Point> = curves().filter(drawn).flat_map(|curve| &curve.points).collect();
    let both = points.iter().any(|point| point.both.is_some());
    let items = points.iter().any(|point| point.both.is_none());
    let over = match (both, items) {
        (false, false) => return None,
        (true, false) => "test items and seeds",
        (false, true) => "test items",
        (true, true) => "test items and, where there are several, seeds",
    };
    Some(LegendEntry { sign: Sign::Band, label: vec![TextPart::plain(format!("95 % interval over {over}"))] })
}

/// Why no conclusion is drawn, each reason once.
pub fn notes(panels: &[Panel]) -> Vec<String> {
    let mut notes: Vec<String> =
        panels.iter().filter_map(|panel| Some(panel.too_short.as_ref()?.to_string())).collect();
    notes.sort_unstable();
    notes.dedup();
    notes
}

/// What the layers of a panel's curves do.
pub(super) fn x_label(panel: &Panel) -> &'static str {
    match panel.kind() {
        InterventionKind::Masks => "hidden from layer",
        InterventionKind::Windows => "first layer of the window that hides",
        InterventionKind::Ablation => "layer without attention",
        InterventionKind::Lora => "layer with an adapter",
    }
}
