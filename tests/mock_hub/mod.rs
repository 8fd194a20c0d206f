//! A hub on loopback: the hub itself, and a second listener as the host that LFS files are redirected to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sha1::{Digest, Sha1};
use sha2::Sha256;

/// What the hub holds and how it misbehaves; may be changed between two calls.
#[derive(Default, Clone)]
pub struct State {
    /// Content by name; a `.safetensors` file is in LFS.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Commits by revision.
    pub revisions: BTreeMap<String, String>,
    /// Status, `X-Error-Code` and `X-Error-Message` of every answer of the hub, or of those to requests of files.
    pub refuse: Option<(u16, &'static str, &'static str)>,
    pub refuse_files: Option<(u16, &'static str, &'static str)>,
    /// So many requests are answered with 503 first.
    pub failures: usize,
    /// So many downloads of LFS files break off after so many bytes.
    pub breaks: (usize, usize),
    /// The next download of an LFS file stops without ending, for a second.
    pub stalls: bool,
    /// The size that is announced for LFS files, in place of theirs.
    pub announced: Option<usize>,
    /// The content of LFS files is another one.
    pub corrupt: bool,
    /// Everything is a web page, or only what comes from the second host.
    pub page: bool,
    pub page_for_files: bool,
    pub ignores_range: bool,
    pub without_etag: bool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub second_host: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
}

#[derive(Clone)]
pub struct Hub {
    pub endpoint: String,
    second: String,
    state: Arc<Mutex<State>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Hub {
    pub fn start(state: State) -> Self {
        let [first, second] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [endpoint, other] = [&first, &second].map(|l| format!("http://{}", l.local_addr().unwrap()));
        let hub = Self { endpoint, second: other, state: Arc::new(Mutex::new(state)), seen: Arc::default() };
        for (listener, is_second) in [(first, false), (second, true)] {
            let hub = hub.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let hub = hub.clone();
                    // A client that goes away is none of this test's business.
                    std::thread::spawn(move || hub.answer(stream.unwrap(), is_second).ok());
                }
            });
        }
        hub
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn answer(&self, mut stream: TcpStream, second_host: bool) -> Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ').map(str::to_string);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            let mut pairs = lines.iter().filter_map(|line| line.split_once(": "));
            pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
        };
        let seen = Seen { second_host, method, path, range: header("range"), token: header("authorization") };
        self.seen.lock().unwrap().push(seen.clone());
        let download = seen.method == "GET" && second_host;
        let now = self.state().next(download);
        let (status, headers, body) = now.reply(&seen, &self.second);
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        )?;
        let cut = if seen.method == "HEAD" { 0 } else { length };
        let cut = if download && now.breaks.0 > 0 { cut.min(now.breaks.1) } else { cut };
        stream.write_all(&body[..if download && now.stalls { 1 } else { cut }])?;
        std::thread::sleep(Duration::from_secs(u64::from(download && now.stalls)));
        Ok(())
    }
}

impl State {
    /// The state for this request; what happens only so many times is counted down.
    fn next(&mut self, download: bool) -> Self {
        let now = self.clone();
        self.failures = now.failures.saturating_sub(1);
        self.breaks.0 -= usize::from(download && now.breaks.0 > 0);
        self.stalls &= !download;
        now
    }

    /// Status, headers and body.
    fn reply(&self, seen: &Seen, second: &str) -> (u16, String, Vec<u8>) {
        let name = seen.path.rsplit('/').next().unwrap_or_default();
        let content = self.files.get(name).filter(|_| seen.path.contains("/resolve/"));
        let refuse = self.refuse.or(self.refuse_files.filter(|_| content.is_some()));
        let refusal = |status, code| (status, format!("X-Error-Code: {code}\r\n"), b"no".to_vec());
        match (refuse, content) {
            _ if self.failures > 0 => (503, String::new(), b"busy".to_vec()),
            (Some((status, "", _)), _) if !seen.second_host => (status, String::new(), b"no".to_vec()),
            (Some((status, code, said)), _) if !seen.second_host => {
                refusal(status, format!("{code}\r\nX-Error-Message: {said}"))
            }
            _ if self.page || self.page_for_files && seen.second_host => {
                (200, "Content-Type: text/html\r\n".into(), b"<html>Log in</html>".to_vec())
            }
            (_, Some(content)) if name.ends_with(".safetensors") && !seen.second_host => {
                let (size, etag) = (self.announced.unwrap_or(content.len()), sha256(content));
                let etag = format!("X-Linked-Size: {size}\r\nX-Linked-Etag: \"{etag}\"\r\n");
                let etag = if self.without_etag { String::new() } else { etag };
                (302, format!("Location: {second}{}\r\nX-Repo-Commit: x\r\n{etag}", seen.path), vec![])
            }
            (_, Some(content)) => self.content(content.clone(), seen),
            _ => match seen.path.strip_prefix("/api/models/o/n/revision/") {
                Some(rest) => self.listing(&rest.trim_end_matches("?blobs=true").replace("%2F", "/")),
                None => refusal(404, "EntryNotFound".into()),
            },
        }
    }

    fn content(&self, mut content: Vec<u8>, seen: &Seen) -> (u16, String, Vec<u8>) {
        content[0] ^= u8::from(self.corrupt && seen.second_host);
        let (size, etag) = (content.len(), format!("ETag: \"{}\"\r\n", git_blob(&content)));
        let Some(range) = seen.range.as_ref().filter(|_| !self.ignores_range) else {
            return (200, etag, content);
        };
        let from: usize = range["bytes=".len()..].split('-').next().unwrap().parse().unwrap();
        (206, format!("{etag}Content-Range: bytes {from}-{}/{size}\r\n", size - 1), content.split_off(from))
    }

    fn listing(&self, revision: &str) -> (u16, String, Vec<u8>) {
        let Some(sha) = self.revisions.get(revision) else {
            return (404, "X-Error-Code: RevisionNotFound\r\n".into(), vec![]);
        };
        let files = self.files.iter().map(|(n, c)| serde_json::json!({"rfilename": n, "size": c.len()}));
        let listing = serde_json::json!({"sha": sha, "siblings": files.collect::<Vec<_>>()});
        (200, String::new(), listing.to_string().into())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

pub fn git_blob(content: &[u8]) -> String {
    hex(&Sha1::digest([format!("blob {}\0", content.len()).as_bytes(), content].concat()))
}
