//! One file from the hub to the cache: resumed where it broke off, and verified before it gets its name.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::checksum::Checksum;
use super::client::{Announced, Answer, Client};
use super::failure::{Failure, Patience};
use super::{DownloadProgress, Transfer};

/// Bytes between two reports of progress.
const CHUNK: usize = 1 << 20;

/// Fetch a file of a commit, unless its content is there already, and link it into the snapshot.
pub(super) fn file(
    job: Transfer,
    client: &Client,
    cache: &Cache,
    commit: &str,
    name: &str,
) -> Result<(), Failure> {
    let announced = client.announced(commit, name)?;
    let _lock = cache.lock(&announced.etag, job)?;
    // Another one may have fetched it while this one waited.
    let etag = if blob_is_whole(job, cache, &announced)? {
        announced.etag
    } else {
        adopt_part(cache, &announced.etag)?;
        let partial = Partial::open(cache.incomplete(&announced.etag), announced, name)?;
        partial.fill(job, client, commit)?.finish(job, cache)?
    };
    cache.link(commit, name, &etag)
}

/// Whether the content is there. One of another size is cut off: it is kept as a beginning, or removed if too long.
fn blob_is_whole(job: Transfer, cache: &Cache, announced: &Announced) -> Result<bool, Failure> {
    let blob = cache.blob(&announced.etag);
    let fail = |error: io::Error| Failure::disk(&blob, &error);
    let length = match fs::metadata(&blob) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fail(error)),
    };
    if length == announced.size {
        return Ok(true);
    }
    job.note(format!("{}: {length} of {} bytes; fetching it again", blob.display(), announced.size));
    let incomplete = cache.incomplete(&announced.etag);
    if length < announced.size && !incomplete.exists() {
        fs::rename(&blob, &incomplete).map_err(fail)?;
    } else {
        fs::remove_file(&blob).map_err(fail)?;
    }
    Ok(false)
}

/// Go on from what the `hf-hub` crate has left behind under its own name.
fn adopt_part(cache: &Cache, etag: &str) -> Result<(), Failure> {
    let (part, incomplete) = (cache.blob(&format!("{etag}.part")), cache.incomplete(etag));
    if !part.exists() || incomplete.exists() {
        return Ok(());
    }
    fs::rename(&part, &incomplete).map_err(|error| Failure::disk(&part, &error))
}

/// A file that is growing.
struct Partial<'a> {
    name: &'a str,
    path: PathBuf,
    file: File,
    announced: Announced,
    checksum: Checksum,
    done: u64,
}

impl<'a> Partial<'a> {
    fn open(path: PathBuf, announced: Announced, name: &'a str) -> Result<Self, Failure> {
        let fail = |error: io::Error| Failure::disk(&path, &error);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(fail)?;
        let file = File::options().create(true).append(true).read(true).open(&path).map_err(fail)?;
        let checksum = new_checksum(&announced)?;
        let mut partial = Self { name, path, file, announced, checksum, done: 0 };
        partial.take_over().map_err(|error| Failure::disk(&partial.path, &error))?;
        Ok(partial)
    }

    /// Hash what is there; from then on every byte is hashed as it is written.
    fn take_over(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length > self.announced.size {
            return self.file.set_len(0);
        }
        if length > 0 {
            self.file.rewind()?;
            self.done = self.checksum.read(&mut self.file)?;
        }
        Ok(())
    }

    /// Fetch until it has the announced size, in as many tries as it takes while bytes arrive.
    fn fill(mut self, job: Transfer, client: &Client, commit: &str) -> Result<Self, Failure> {
        let mut patience = Patience::stubborn(job);
        self.report(job);
        while self.done < self.announced.size {
            let before = self.done;
            let tried =
                client.content(commit, self.name, self.done).and_then(|answer| self.take(job, answer));
            if let Err(failure) = tried {
                if self.done > before {
                    patience.refresh();
                }
                patience.wait(failure)?;
            }
        }
        Ok(self)
    }

    /// Append an answer's content as far as it arrives.
    fn take(&mut self, job: Transfer, answer: Answer) -> Result<(), Failure> {
        if !self.fits(&answer)? {
            self.restart()?;
        }
        let host = answer.host;
        let mut body = answer.response.into_body().into_reader();
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) if self.done < self.announced.size => {
                    let (done, size) = (self.done, self.announced.size);
                    let place = format!("after {done} of {size} bytes of {}", self.name);
                    return Err(Failure::passing(format!("{host} broke off {place}")));
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Failure::transport(&host, error.into())),
            };
            if self.done + read as u64 > self.announced.size {
                self.restart()?;
                return Err(self.other_size(&host, "more"));
            }
            self.file.write_all(&buffer[..read]).map_err(|error| Failure::disk(&self.path, &error))?;
            self.checksum.bytes(&buffer[..read]);
            self.done += read as u64;
            self.report(job);
        }
    }

    /// Whether an answer goes on where this file ends; if not, it is the whole file.
    fn fits(&self, answer: &Answer) -> Result<bool, Failure> {
        let (name, host) = (self.name, &answer.host);
        if answer.is_page() {
            return Err(Failure::fault(format!(
                "{host} sends a web page in place of {name} (a login page or a proxy?): nothing of it was saved"
            )));
        }
        let size = self.announced.size;
        if answer.response.status() == ureq::http::StatusCode::PARTIAL_CONTENT {
            let expected = format!("bytes {}-{}/{size}", self.done, size.saturating_sub(1));
            let range = answer.header("content-range").unwrap_or_default();
            return if range == expected { Ok(true) } else { Err(self.other_size(host, range)) };
        }
        match answer.header("content-length") {
            Some(length) if length != size.to_string() => Err(self.other_size(host, length)),
            _ => Ok(self.done == 0),
        }
    }

    fn other_size(&self, host: &str, sent: &str) -> Failure {
        Failure::fault(format!(
            "{}: the hub announced {} bytes, but {host} sends another size ({sent}): run again later, or use another \
             HF_ENDPOINT",
            self.name, self.announced.size
        ))
    }

    /// Forget what has arrived.
    fn restart(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|error| Failure::disk(&self.path, &error))?;
        self.checksum = new_checksum(&self.announced)?;
        self.done = 0;
        Ok(())
    }

    /// Give it its name if it is what was announced; else remove it.
    fn finish(self, job: Transfer, cache: &Cache) -> Result<String, Failure> {
        let etag = self.announced.etag;
        let fail = |error: io::Error| Failure::disk(&self.path, &error);
        let found = self.checksum.hex();
        if found != etag {
            fs::remove_file(&self.path).map_err(fail)?;
            return Err(Failure::fault(format!(
                "{} of {}: its checksum is {found}, but the hub announced {etag}: the bad file was removed; run again",
                self.name, job.id
            )));
        }
        self.file.sync_all().map_err(fail)?;
        fs::rename(&self.path, cache.blob(&etag)).map_err(fail)?;
        Ok(etag)
    }

    fn report(&self, job: Transfer) {
        (job.progress)(DownloadProgress::File {
            name: self.name,
            done: self.done,
            size: self.announced.size,
        });
    }
}

fn new_checksum(announced: &Announced) -> Result<Checksum, Failure> {
    Checksum::of(&announced.etag, announced.size)
        .ok_or_else(|| Failure::fault(format!("`{}` is no checksum", announced.etag)))
}
