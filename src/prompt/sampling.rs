//! Which demonstrations a seed draws: the same as `pandas.DataFrame.sample(n=k, random_state=seed)`.
//!
//! Published results name their demonstrations by seed only, so a seed must mean here what it means in Python. pandas
//! hands an integer seed to numpy's legacy `RandomState` and takes `choice(n, size=k, replace=False)`, which is the
//! first k entries of `permutation(n)`: a Fisher-Yates shuffle from the back, driven by the Mersenne Twister MT19937.
//! numpy keeps that stream frozen, so this file is finished once it agrees with `tests/goldens/sampling.json`.

use anyhow::Result;

use crate::base::error::input;
use crate::base::random::MersenneTwister;

/// The k row numbers (from 0, in the order drawn) that pandas samples out of n rows for a seed.
///
/// `k = 0` gives none. Memory and time are proportional to n.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError) if there are fewer than k rows, or more than 2^32.
pub fn sample(n: usize, k: usize, seed: u32) -> Result<Vec<usize>> {
    if k > n {
        return Err(input(format!(
            "{k} demonstrations were asked for, but the corpus has only {n} to draw from; lower --nprompts or give the \
             corpus more demonstrations"
        )));
    }
    let last = u32::try_from(n.saturating_sub(1)).map_err(|_| {
        input(format!("the corpus has {n} demonstrations to draw from; the most that works is 2^32"))
    })?;
    let mut random = MersenneTwister::new(seed);
    let mut rows: Vec<usize> = (0..n).collect();
    for row in (1..=last).rev() {
        let other = random.up_to(row);
        rows.swap(row as usize, other as usize);
    }
    rows.truncate(k);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases() {
        assert_eq!(sample(0, 0, 0).unwrap(), Vec::<usize>::new());
        assert_eq!(sample(1, 1, 7).unwrap(), [0]);
        assert_eq!(sample(10, 0, 7).unwrap(), Vec::<usize>::new());
    }

    #[test]
    fn a_sample_has_no_row_twice() {
        let mut rows = sample(197, 197, 3).unwrap();
        rows.sort_unstable();
        assert_eq!(rows, (0..197).collect::<Vec<_>>());
    }

    #[test]
    fn too_few_rows_are_refused() {
        let error = sample(3, 5, 0).unwrap_err();
        assert!(error.downcast_ref::<crate::base::error::InputError>().is_some());
        assert!(error.to_string().starts_with("5 demonstrations were asked for, but the corpus has only 3"));
    }
}
