//! The demonstrations of a seed are those that pandas draws (goldens by `tests/goldens/make_sampling.py`).

use icl_mask::prompt::sampling::sample;

#[derive(serde::Deserialize)]
struct Goldens {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    n: usize,
    k: usize,
    seed: u32,
    rows: Vec<usize>,
}

#[test]
fn a_seed_draws_the_rows_that_pandas_draws() {
    let goldens: Goldens = serde_json::from_str(include_str!("sampling.json")).unwrap();
    assert!(goldens.cases.len() > 100);
    for Case { n, k, seed, rows } in goldens.cases {
        assert_eq!(sample(n, k, seed).unwrap(), rows, "n {n}, k {k}, seed {seed}");
    }
}
