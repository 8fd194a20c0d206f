//! Corrections, intervals and pass@k against statsmodels and numpy, as tests/goldens/make_stats.py has them.

use icl_mask::score::{Bootstrap, pass_at_k};
use icl_mask::stats::holm;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    holm: Vec<Holm>,
    intervals: Vec<Drawn>,
    pass_at_k: Vec<PassAt>,
}

#[derive(Deserialize)]
struct Holm {
    p: Vec<f64>,
    corrected: Vec<f64>,
}

#[derive(Deserialize)]
struct Drawn {
    values: Vec<f64>,
    low: f64,
    high: f64,
    mean: f64,
}

#[derive(Deserialize)]
struct PassAt {
    n: usize,
    c: usize,
    k: usize,
    estimate: f64,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/stats.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn corrections_are_those_of_statsmodels() {
    for Holm { p, corrected } in golden().holm {
        let p: Vec<Option<f64>> = p.into_iter().map(Some).collect();
        let found: Vec<f64> = holm(&p).into_iter().flatten().collect();
        assert_eq!(found.len(), corrected.len());
        assert!(found.iter().zip(&corrected).all(|(a, b)| close(*a, *b)), "{found:?}, not {corrected:?}");
    }
}

#[test]
fn intervals_of_the_same_resamples_are_those_of_numpy() {
    let bootstrap = Bootstrap { resamples: 1000, seed: 12345 };
    for Drawn { values, low, high, mean } in golden().intervals {
        let found = bootstrap.of_mean(&values).unwrap();
        let same = close(found.low, low) && close(found.high, high) && close(found.mean, mean);
        assert!(same, "{found:?}, not {low} to {high}, mean {mean}");
    }
}

#[test]
fn pass_at_k_is_the_fraction_of_the_paper() {
    for PassAt { n, c, k, estimate } in golden().pass_at_k {
        assert!(close(pass_at_k(n, c, k).unwrap(), estimate), "{n}, {c}, {k}");
    }
}
