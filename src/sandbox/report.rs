//! What the warden of a jail reports, and the verdict that follows from it.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::{Judged, ProgramLimits, Verdict};

/// How a check went, as the warden writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WardenReport {
    /// Layers of the sandbox that were there.
    pub layers: Vec<String>,
    /// Layers that were not, with the reason.
    pub missing: Vec<String>,
    /// Why nothing could be run.
    pub error: Option<String>,
    /// What the judge said: a word, and after a line end the reason.
    pub verdict: String,
    /// How the program's process ended.
    pub program: End,
    /// How the judge's process ended.
    pub judge: End,
    /// Why the warden ended them, if it did.
    pub cut: Option<Cut>,
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Processor time that it took, in seconds.
    pub cpu: f64,
    /// Most memory that it held, in bytes.
    pub peak: u64,
}

/// Why a warden ends what goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Neither process got on.
    Asleep,
    /// Too long by the clock.
    Late,
    /// The judge was done, the program was not.
    Over,
}

/// Numbers of signals, the same on all that Linux runs on here.
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;
const SIGSYS: i32 = 31;

impl WardenReport {
    /// The verdict. Only the judge's own word makes it `passed`.
    ///
    /// # Errors
    /// The sandbox could not be built: nothing is known of the program then.
    pub fn judged(&self, limits: ProgramLimits) -> Result<Judged> {
        if let Some(error) = &self.error {
            bail!("{error}");
        }
        let (word, reason) = self.verdict.split_once('\n').unwrap_or((&self.verdict, ""));
        match word {
            "passed" => return Ok(Judged::new(Verdict::Passed, "")),
            "failed" => return Ok(Judged::new(Verdict::Failed, reason)),
            "memory" => return Ok(Judged::new(Verdict::Memory, reason)),
            "syntax" => return Ok(Judged::new(Verdict::Syntax, reason)),
            _ => (),
        }
        match self.cut {
            Some(Cut::Asleep) => {
                return Ok(Judged::new(Verdict::Timeout, "it slept, or waited for what never came"));
            }
            Some(Cut::Late) => return Ok(Judged::new(Verdict::Timeout, "too long by the clock")),
            Some(Cut::Over) => return Ok(Judged::new(Verdict::Failed, "it closed its line to the judge")),
            None => (),
        }
        Ok(match (word, self.judge.signal, self.judge.code) {
            // The program ended before its tests did.
            ("gone", ..) => self.program.judged(limits),
            (_, Some(_), _) => self.judge.judged(limits),
            // Reference solutions were judged well: it is this program's answers that the judge could not bear.
            (_, None, code) => {
                let code = code.unwrap_or(-1);
                Judged::new(
                    Verdict::Failed,
                    &format!("its answers broke the judge, which ended with code {code}"),
                )
            }
        })
    }

    /// The sandbox in a line, for people and for the results.
    pub fn level(&self) -> String {
        match (self.layers.is_empty(), self.missing.is_empty()) {
            (true, true) => "off: time and memory limits only".into(),
            (true, false) => format!("limits only; missing: {}", self.missing.join("; ")),
            (false, true) => self.layers.join(", "),
            (false, false) => format!("{}; missing: {}", self.layers.join(", "), self.missing.join("; ")),
        }
    }
}

impl End {
    fn judged(&self, limits: ProgramLimits) -> Judged {
        // The kernel's last word on processor time, a second after SIGXCPU. It counts that time by the ticks of a clock,
        // and may be well before the exact sum that is reported.
        let spent = self.cpu * 2. >= limits.cpu_seconds as f64;
        let full = self.peak * 10 >= limits.memory * 7;
        match (self.signal, self.code) {
            (Some(SIGSYS), _) => Judged::new(Verdict::Killed, "it made a system call that is forbidden"),
            (Some(SIGXCPU), _) => Judged::new(Verdict::Timeout, "its processor time was used up"),
            (Some(SIGKILL), _) if spent => Judged::new(Verdict::Timeout, "its processor time was used up"),
            // Nobody else sends it: the kernel, short of memory.
            (Some(SIGKILL), _) => Judged::new(Verdict::Memory, "ended by the kernel, short of memory"),
            (Some(SIGSEGV | SIGABRT), _) if full => {
                Judged::new(Verdict::Memory, "it died at its limit of memory")
            }
            (Some(signal), _) => Judged::new(Verdict::Failed, &format!("it died of signal {signal}")),
            (None, code) => {
                let code = code.map_or("no code".into(), |code| format!("code {code}"));
                Judged::new(Verdict::Failed, &format!("it ended with {code} before the tests did"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ProgramLimits = ProgramLimits { cpu_seconds: 3, memory: 1 << 30 };

    fn report(verdict: &str, signal: Option<i32>, cpu: f64, peak: u64) -> WardenReport {
        let end = End { code: signal.is_none().then_some(0), signal, cpu, peak };
        WardenReport { verdict: verdict.into(), program: end, ..WardenReport::default() }
    }

    #[test]
    fn only_the_judges_word_passes() {
        let verdict = |report: WardenReport| report.judged(LIMITS).map(|judged| judged.verdict).ok();
        assert_eq!(verdict(report("passed", None, 0., 0)), Some(Verdict::Passed));
        for (signal, cpu, peak, expected) in [
            (None, 0.1, 0, Verdict::Failed),
            (Some(SIGSYS), 0.1, 0, Verdict::Killed),
            (Some(SIGXCPU), 2.7, 0, Verdict::Timeout),
            (Some(SIGKILL), 4.0, 0, Verdict::Timeout),
            (Some(SIGKILL), 0.5, 0, Verdict::Memory),
            (Some(SIGSEGV), 0.5, 900 << 20, Verdict::Memory),
            (Some(SIGSEGV), 0.5, 9 << 20, Verdict::Failed),
        ] {
            assert_eq!(verdict(report("gone\n", signal, cpu, peak)), Some(expected), "{signal:?}");
        }
        // A judge that ends without a word, or with half of one.
        assert_eq!(verdict(report("", None, 0., 0)), Some(Verdict::Failed));
        assert_eq!(verdict(report("pass", None, 0., 0)), Some(Verdict::Failed));
        assert_eq!(verdict(WardenReport { error: Some("no".into()), ..report("passed", None, 0., 0) }), None);
        let mut asleep = report("", None, 0., 0);
        asleep.cut = Some(Cut::Asleep);
        assert_eq!(verdict(asleep), Some(Verdict::Timeout));
    }
}
