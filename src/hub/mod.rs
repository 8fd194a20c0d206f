//! Models of the Hugging Face hub, in the cache that `huggingface_hub` uses too.
//!
//! `hf-hub` names the addresses and the folders of the cache; requests, redirects, resuming and checking are done here,
//! over the `ureq` that it brings. Its own download (0.5.0) sends the token to the host that a download is
//! redirected to (seen on the wire), and by its source checks neither size nor sha256 and takes an answer without the
//! range it asked for as the rest of a file.
//!
//! A file gets its final name only when its size and its checksum are what the hub announced: sha256 for a file in LFS,
//! git's sha1 for any other. From then on only its size is looked at.

mod cache;
mod checksum;
mod client;
mod download;
mod failure;
mod id;
mod listing;
mod roots;
mod settings;

use anyhow::{Result, anyhow};

pub use id::ModelId;
pub use settings::HubSettings;

use crate::base::error::input;
use cache::{Cache, State};
use client::Client;
use failure::Failure;
use listing::Listing;

use std::path::PathBuf;

/// What is needed of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFiles {
    /// What a plan needs: the configuration, the tokenizer, the chat template and the index of the weights.
    Description,
    /// All of that, and the weights.
    Weights,
}

/// A model in the cache, complete as far as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The folder with its files.
    pub folder: PathBuf,
    /// The commit that the revision is, 40 hexadecimal digits.
    pub commit: String,
}

/// What [`fetch`] reports while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadProgress<'a> {
    /// A file that is being fetched: at its beginning (what is there already counts), and as bytes arrive.
    File {
        /// Its name in the repository.
        name: &'a str,
        /// Bytes on disk.
        done: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A line that the user must get to see: a retry, or the cache used in place of the hub.
    Note(String),
}

/// One model, how to reach it, and whom to tell.
#[derive(Clone, Copy)]
struct Transfer<'a> {
    id: &'a ModelId,
    settings: &'a HubSettings,
    progress: &'a dyn Fn(DownloadProgress),
}

impl Transfer<'_> {
    fn note(&self, line: String) {
        (self.progress)(DownloadProgress::Note(line));
    }
}

/// Put a model into the cache, as far as it is not there, and say where it is.
///
/// Asks the hub once which commit the revision is and what it holds; without an answer (no network, the hub is down) a
/// complete snapshot of the cache is used, with a note. Offline, only the cache is looked at. Two processes or threads
/// may fetch the same model: one waits for the other.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError) for what the user can mend: no such model, revision or access; a model
/// without safetensors or `tokenizer.json`; offline, and not complete in the cache. Any other error for what is not the
/// user's mistake: no network, a server's failure, a file that is not what was announced, a full disk. What has arrived
/// of a file is kept, and the next call goes on from there.
pub fn fetch(
    id: &ModelId,
    wanted: ModelFiles,
    settings: &HubSettings,
    progress: &dyn Fn(DownloadProgress),
) -> Result<Snapshot> {
    let job = Transfer { id, settings, progress };
    let cache = Cache::new(id, settings);
    if settings.offline {
        return cached(job, &cache, wanted).map_err(|missing| {
            input(format!(
                "HF_HUB_OFFLINE is set and {missing}: unset it and run again, or copy {} from where it is complete",
                cache.folder().display()
            ))
        });
    }
    let client = Client::new(job)?;
    let down = match client.listing() {
        Ok(listing) => return complete(job, &client, &cache, wanted, &listing).map_err(Failure::into_error),
        Err(Failure::Final(error)) => return Err(error),
        Err(Failure::Passing { message, .. } | Failure::Away(message)) => message,
    };
    match cached(job, &cache, wanted) {
        Ok(snapshot) => {
            job.note(format!("{down}; using {id} from the cache, commit {}", snapshot.commit));
            Ok(snapshot)
        }
        Err(missing) => Err(anyhow!(
            "{down}, and {missing}: mend the connection, set HF_ENDPOINT to a mirror that can be reached, or copy {} \
             from where it is complete and set HF_HUB_OFFLINE=1",
            cache.folder().display()
        )),
    }
}

/// Fetch what the cache lacks of `listing`.
fn complete(
    job: Transfer,
    client: &Client,
    cache: &Cache,
    wanted: ModelFiles,
    listing: &Listing,
) -> Result<Snapshot, Failure> {
    listing.check(job.id, job.settings).map_err(Failure::Final)?;
    let commit = &listing.sha;
    let ensure = |name: &str| -> Result<(), Failure> {
        match cache.state(commit, name, listing.size(name)) {
            State::Whole => Ok(()),
            State::Missing | State::Broken(_) => download::file(job, client, cache, commit, name),
        }
    };
    for (name, _) in listing::DESCRIPTION {
        if listing.has(name) {
            ensure(name)?;
        } else {
            cache.mark_absent(commit, name)?;
        }
    }
    // Read in both cases: a plan should find a broken index before the weights are fetched.
    let weights =
        listing::weights(&cache.snapshot(commit), listing.has(listing::SINGLE)).map_err(Failure::Final)?;
    if let Some(name) = weights.iter().find(|name| !listing.has(name)) {
        return Err(Failure::Final(input(format!(
            "{}: its index names `{name}`, which the repository does not hold: choose another revision",
            job.id
        ))));
    }
    if wanted == ModelFiles::Weights {
        weights.iter().try_for_each(|name| ensure(name))?;
    }
    // Last: until here the old commit is what an offline call finds.
    cache.write_ref(job.id.revision(), commit)?;
    Ok(Snapshot { folder: cache.snapshot(commit), commit: commit.clone() })
}

/// What the cache holds, if it is complete as far as wanted; else what it lacks.
fn cached(job: Transfer, cache: &Cache, wanted: ModelFiles) -> Result<Snapshot, String> {
    let id = job.id;
    let commit = cache.commit(id.revision()).ok_or_else(|| format!("{id} is not in the cache"))?;
    let need = |name: &str| match cache.state(&commit, name, None) {
        State::Whole => Ok(true),
        State::Missing => Ok(false),
        State::Broken(why) => Err(format!("{name} of {id} is damaged in the cache ({why})")),
    };
    let lacks = |name: &str| format!("{id} is incomplete in the cache (it lacks {name})");
    for (name, required) in listing::DESCRIPTION {
        match need(name)? {
            true => {}
            false if required => return Err(lacks(name)),
            // Nobody knows whether the repository has one; results may depend on it.
            false if name != listing::INDEX && !cache.known_absent(&commit, name) => {
                job.note(format!("{name} of {id} is not in the cache; the hub may have one"));
            }
            false => {}
        }
    }
    let folder = cache.snapshot(&commit);
    if wanted == ModelFiles::Weights {
        let single = need(listing::SINGLE)?;
        for name in listing::weights(&folder, single).map_err(|error| error.to_string())? {
            if !need(&name)? {
                return Err(lacks(&name));
            }
        }
    }
    Ok(Snapshot { folder, commit })
}
