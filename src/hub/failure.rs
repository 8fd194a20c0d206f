//! What can go wrong between here and the hub, sorted by what helps: waiting, the cache, or nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;

use super::Transfer;

/// Why a request or a download came to nothing.
pub(super) enum Failure {
    /// May pass: the connection broke, the server is busy or failing.
    Passing {
        /// The sentence.
        message: String,
        /// How long the server asks to wait.
        wait: Option<Duration>,
    },
    /// Nobody is there: no network, no such host, or something else answers in its place.
    Away(String),
    /// Trying again does not help.
    Final(anyhow::Error),
}

impl Failure {
    /// A failure that is nobody's mistake here and does not pass.
    pub(super) fn fault(message: String) -> Self {
        Self::Final(anyhow!(message))
    }

    /// The error that the caller gets to see.
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Passing { message, .. } | Self::Away(message) => {
                anyhow!("{message}; what has arrived is kept: run again to go on from there")
            }
            Self::Final(error) => error,
        }
    }

    /// A file of the cache that cannot be read or written.
    pub(super) fn disk(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        Self::fault(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
                "{path}: the disk is full: free some space, or set HF_HOME to a folder on another disk, and run again; \
                 what has arrived is kept"
            ),
            _ => format!("{path}: {error}: mend that, or set HF_HOME to a folder that can be written"),
        })
    }

    /// A request or an answer that broke.
    pub(super) fn transport(host: &str, error: ureq::Error) -> Self {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        use ureq::{Error, Timeout};
        let away = |why: &str| Self::Away(format!("cannot reach {host} ({why})"));
        match error {
            Error::HostNotFound => away("no such host, or no network"),
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => away("no answer"),
            Error::Timeout(_) => Self::passing(format!("{host} stopped answering")),
            Error::Io(e) if matches!(e.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable) => {
                away(&e.to_string())
            }
            Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => {
                Self::passing(format!("{host} stopped answering"))
            }
            Error::Io(e) if e.to_string().contains("certificate") => Self::Away(format!(
                "{host} shows a certificate that is not trusted ({e}): if your network has a proxy of its own, set \
                 SSL_CERT_FILE to its roots"
            )),
            // A name that cannot be resolved comes as an error of no kind of its own.
            Error::Io(e) if e.to_string().contains("failed to lookup") => away("no such host, or no network"),
            Error::Io(e) => Self::passing(format!("the connection to {host} broke ({e})")),
            other => away(&other.to_string()),
        }
    }

    /// A failure that may pass.
    pub(super) fn passing(message: String) -> Self {
        Self::Passing { message, wait: None }
    }
}

/// How often a request is made in a row without a byte arriving.
const TRIES: u32 = 5;
/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many tries are left, and how long to pause before the next.
pub(super) struct Patience<'a> {
    job: Transfer<'a>,
    failed: u32,
    stubborn: bool,
}

impl<'a> Patience<'a> {
    /// For a first question: where nobody is there, it is not asked again.
    pub(super) fn new(job: Transfer<'a>) -> Self {
        Self { job, failed: 0, stubborn: false }
    }

    /// For a download that has begun: a network that went away may come back.
    pub(super) fn stubborn(job: Transfer<'a>) -> Self {
        Self { stubborn: true, ..Self::new(job) }
    }

    /// Bytes have arrived: all tries are left again.
    pub(super) fn refresh(&mut self) {
        self.failed = 0;
    }

    /// Wait before the next try, and say so.
    ///
    /// # Errors
    /// The failure itself, if it does not pass or has come too often.
    pub(super) fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        self.failed += 1;
        let (message, asked) = match &failure {
            Failure::Passing { message, wait } => (message, *wait),
            Failure::Away(message) if self.stubborn => (message, None),
            Failure::Away(_) | Failure::Final(_) => return Err(failure),
        };
        if self.failed >= TRIES {
            return Err(failure);
        }
        let pause = self.job.settings.pause * 2u32.pow(self.failed - 1);
        let pause = asked.map_or(pause, |asked| asked.min(LONGEST_PAUSE).max(pause));
        self.job.note(format!("{message}; trying again in {:.1} s", pause.as_secs_f64()));
        std::thread::sleep(pause);
        Ok(())
    }
}
