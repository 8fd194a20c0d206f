//! How long a run will still take, from what its passes have taken so far. An estimate, never a promise: answers end when they
//! end, and the machine has other things to do.

use crate::engine::Expected;

/// What is known of a run's time.
pub struct Estimate {
    expected: Expected,
    /// Generations to make, and tokens of each at most.
    generations: usize,
    longest: usize,
    /// Multiply-adds so far.
    done: u64,
    /// Generations so far, and their tokens.
    finished: usize,
    tokens: usize,
}

impl Estimate {
    /// The estimate of a run that has not begun.
    pub fn new(expected: Expected, generations: usize, longest: usize) -> Self {
        Self { expected, generations, longest, done: 0, finished: 0, tokens: 0 }
    }

    /// A pass is done.
    pub fn passed(&mut self, multiply_adds: u64) {
        self.done += multiply_adds;
    }

    /// A generation is finished, with so many tokens.
    pub fn finished(&mut self, tokens: usize) {
        self.finished += 1;
        self.tokens += tokens;
    }

    /// Seconds that are left after so many; `None` before the first pass.
    pub fn left(&self, seconds: f64) -> Option<f64> {
        if self.done == 0 {
            return None;
        }
        let done = self.done as f64;
        let by_work = |expected: f64| (expected - done) * seconds / done;
        let (expected, most) = (self.multiply_adds(self.length()), self.multiply_adds(1.));
        if self.finished == 0 {
            return Some(by_work(most).max(0.));
        }
        // Too long where others are half done, which it does not see; the work is wrong where answers share more or less
        // than was expected, most of all at the end.
        let by_count = seconds * (self.generations - self.finished) as f64 / self.finished as f64;
        // The answers that end first are the shortest. Where they promise less work than is done, the others have full length.
        let first = [expected, most].into_iter().find(|&work| done <= 0.95 * work);
        Some(first.map_or(by_count, |work| by_work(work).min(by_count)))
    }

    /// How long the finished answers are on average, as a part of the longest that is allowed.
    fn length(&self) -> f64 {
        self.tokens as f64 / (self.finished * self.longest).max(1) as f64
    }

    /// Of the whole run, with answers of this length.
    fn multiply_adds(&self, length: f64) -> f64 {
        let Expected { prompts, least, most } = self.expected;
        let whole = (least as f64 + most as f64) / 2.;
        prompts as f64 + (whole - prompts as f64).max(0.) * length
    }
}

/// `about 40 s`, `about 12 min`, `about 3.5 h`: no more digits than are meant.
pub fn about(seconds: f64) -> String {
    let near = |step: f64| (seconds / step).round().max(1.) * step;
    match seconds {
        s if s < 10. => format!("about {:.0} s", near(1.)),
        s if s < 100. => format!("about {:.0} s", near(5.)),
        s if s < 6000. => format!("about {:.0} min", (s / 60.).round()),
        s if s < 360_000. => format!("about {:.1} h", s / 3600.),
        s => format!("about {:.0} days", s / 86_400.),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_run_is_foreseen_from_its_first_pass() {
        // 100 answers of 10 tokens each, one multiply-add a token after 200 for the prompts.
        let expected = Expected { prompts: 200, least: 1200, most: 1200 };
        let mut estimate = Estimate::new(expected, 100, 10);
        assert_eq!(estimate.left(0.), None);
        estimate.passed(200);
        assert_eq!(estimate.left(2.), Some(10.));
        estimate.passed(500);
        (0..50).for_each(|_| estimate.finished(10));
        assert!((estimate.left(7.).unwrap() - 5.).abs() < 1e-9);
        estimate.passed(500);
        (0..50).for_each(|_| estimate.finished(10));
        assert_eq!(estimate.left(12.), Some(0.));
    }

    #[test]
    fn the_few_that_end_first_do_not_lengthen_it() {
        let expected = Expected { prompts: 0, least: 1000, most: 1000 };
        let mut estimate = Estimate::new(expected, 100, 10);
        estimate.passed(300);
        (0..4).for_each(|_| estimate.finished(2));
        // Not 24 seconds, a hundred times what four answers took.
        assert!((estimate.left(1.).unwrap() - 700. / 300.).abs() < 1e-9);
    }

    #[test]
    fn short_answers_shorten_it_and_wrong_work_does_not_last() {
        let expected = Expected { prompts: 0, least: 1000, most: 1000 };
        let mut estimate = Estimate::new(expected, 100, 10);
        estimate.passed(100);
        assert_eq!(estimate.left(1.), Some(9.));
        (0..20).for_each(|_| estimate.finished(5));
        assert!((estimate.left(1.).unwrap() - 4.).abs() < 1e-9);
        // Twice the work that was expected: what counts then is how many are finished.
        estimate.passed(900);
        (0..30).for_each(|_| estimate.finished(5));
        assert!((estimate.left(10.).unwrap() - 10.).abs() < 1e-9);
    }

    #[test]
    fn times_have_few_digits() {
        let said: Vec<String> = [0.2, 3.4, 37., 99., 240., 5400., 12_600., 400_000.].map(about).into();
        assert_eq!(
            said,
            ["1 s", "3 s", "35 s", "100 s", "4 min", "90 min", "3.5 h", "5 days"]
                .map(|time| format!("about {time}"))
        );
    }
}
