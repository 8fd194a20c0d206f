//! Several checks at a time, beside the decoding.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};

use super::{Judged, Sandbox, Trial};

type Done = (Trial, Result<Judged>);

/// Threads that judge programs. What asks is known by a number of the caller's; a program that was judged before is not
/// run again.
pub struct Pool {
    jobs: Option<Sender<Trial>>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
    known: HashMap<Trial, Judged>,
    /// Those that wait for a program that is being judged.
    waiting: HashMap<Trial, Vec<usize>>,
    /// Nobody wants what is still in the queue.
    stopped: Arc<AtomicBool>,
}

impl Pool {
    /// So many threads.
    pub fn new(sandbox: Arc<Sandbox>, threads: usize) -> Self {
        let (jobs, queue) = channel::<Trial>();
        let (sender, done) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let stopped = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (sandbox, queue, sender) = (sandbox.clone(), queue.clone(), sender.clone());
            let stopped = stopped.clone();
            std::thread::spawn(move || work(&sandbox, &queue, &sender, &stopped))
        };
        let threads = (0..threads).map(start).collect();
        let (known, waiting) = (HashMap::new(), HashMap::new());
        Self { jobs: Some(jobs), done, threads, known, waiting, stopped: stopped.clone() }
    }

    /// Ask for a verdict; it is there at once if the program is known.
    pub fn ask(&mut self, asker: usize, trial: Trial) -> Option<Judged> {
        if let Some(judged) = self.known.get(&trial) {
            return Some(judged.clone());
        }
        let waiting = self.waiting.entry(trial.clone()).or_default();
        waiting.push(asker);
        if let (1, Some(jobs)) = (waiting.len(), &self.jobs) {
            // Its threads end only after this sender has gone.
            drop(jobs.send(trial));
        }
        None
    }

    /// Who has got a verdict since the last call.
    ///
    /// # Errors
    /// A program could not be judged.
    pub fn ready(&mut self) -> Result<Vec<(usize, Judged)>> {
        let mut all = Vec::new();
        loop {
            match self.done.try_recv() {
                Ok(done) => all.extend(self.settle(done)?),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(all),
            }
        }
    }

    /// Wait for some verdict; empty when none is outstanding.
    ///
    /// # Errors
    /// As [`Pool::ready`].
    pub fn wait(&mut self) -> Result<Vec<(usize, Judged)>> {
        if self.waiting.is_empty() {
            return Ok(Vec::new());
        }
        let done = self.done.recv().map_err(|_| anyhow!("the threads that judge programs have ended"))?;
        self.settle(done)
    }

    /// The verdicts of all of these, in their order.
    ///
    /// # Errors
    /// As [`Pool::ready`]; or the user asked to stop.
    pub fn all(&mut self, trials: Vec<Trial>) -> Result<Vec<Judged>> {
        let mut judged: Vec<Option<Judged>> =
            trials.into_iter().enumerate().map(|(asker, trial)| self.ask(asker, trial)).collect();
        while !self.waiting.is_empty() {
            crate::base::interrupt::check_interrupted()?;
            self.wait()?.into_iter().for_each(|(asker, done)| judged[asker] = Some(done));
        }
        Ok(judged.into_iter().flatten().collect())
    }

    fn settle(&mut self, (trial, judged): Done) -> Result<Vec<(usize, Judged)>> {
        let judged = judged?;
        let askers = self.waiting.remove(&trial).unwrap_or_default();
        self.known.insert(trial, judged.clone());
        Ok(askers.into_iter().map(|asker| (asker, judged.clone())).collect())
    }
}

impl Drop for Pool {
    /// Those at work finish what they are at.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.jobs = None;
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn work(sandbox: &Sandbox, queue: &Mutex<Receiver<Trial>>, done: &Sender<Done>, stopped: &AtomicBool) {
    while !stopped.load(Ordering::Relaxed) {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(trial) = next else { return };
        let judged = sandbox.judge(&trial);
        if done.send((trial, judged)).is_err() {
            return;
        }
    }
}
