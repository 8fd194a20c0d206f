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
        let name = seen.path.rsplit('/').next().unwrap_or_default();
        let content = self.state().files.get(name).cloned().filter(|_| seen.path.contains("/resolve/"));
        let lfs = name.ends_with(".safetensors");
        let now = self.state().next(lfs && seen.method == "GET" && second_host);
        let refuse = now.refuse.or(now.refuse_files.filter(|_| content.is_some())).filter(|_| !second_host);
        let mut reply = |status: u16, headers: &str, body: &[u8]| {
            let length = if headers.contains("Content-Length") {
                ""
            } else {
                &format!("Content-Length: {}\r\n", body.len())
            };
            write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n{length}{headers}\r\n")?;
            stream.write_all(if seen.method == "HEAD" { b"" } else { body })
        };
        let missing = |code: &str| format!("X-Error-Code: {code}\r\n");
        match (refuse, content) {
            _ if now.failures > 0 => reply(503, "", b"busy"),
            (Some((status, "", _)), _) => reply(status, "", b"no"),
            (Some((status, code, said)), _) => {
                reply(status, &format!("{}X-Error-Message: {said}\r\n", missing(code)), b"no")
            }
            _ if now.page || now.page_for_files && second_host => {
                reply(200, "Content-Type: text/html\r\n", b"<html>Log in</html>")
            }
            (_, Some(content)) if lfs && !second_host => {
                let (size, etag) = (now.announced.unwrap_or(content.len()), sha256(&content));
                let etag = format!("X-Linked-Size: {size}\r\nX-Linked-Etag: \"{etag}\"\r\n");
                let etag = if now.without_etag { "" } else { &etag };
                reply(302, &format!("Location: {}{}\r\n{etag}", self.second, seen.path), b"")
            }
            (_, Some(mut content)) => {
                content[0] ^= u8::from(now.corrupt && lfs);
                let (size, range) = (content.len(), seen.range.as_ref().filter(|_| !now.ignores_range));
                let from = range.map_or(0, |range| range[6..range.len() - 1].parse::<usize>().unwrap());
                let range = range.map_or(String::new(), |_| {
                    format!("Content-Range: bytes {from}-{}/{size}\r\n", size - 1)
                });
                let status = if range.is_empty() { 200 } else { 206 };
                let headers =
                    format!("ETag: \"{}\"\r\n{range}Content-Length: {}\r\n", git_blob(&content), size - from);
                let cut = if now.breaks.0 > 0 && lfs { now.breaks.1 } else { size };
                let cut = if now.stalls && lfs { 1 } else { cut };
                reply(status, &headers, &content[from..size.min(from + cut)])?;
                std::thread::sleep(Duration::from_secs(u64::from(now.stalls && lfs)));
                Ok(())
            }
            _ => match seen.path.strip_prefix("/api/models/o/n/revision/") {
                Some(rest) => {
                    match now.revisions.get(&rest.trim_end_matches("?blobs=true").replace("%2F", "/")) {
                        Some(sha) => reply(200, "", now.listing(sha).as_bytes()),
                        None => reply(404, &missing("RevisionNotFound"), b""),
                    }
                }
                None => reply(404, &missing("EntryNotFound"), b""),
            },
        }
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

    fn listing(&self, sha: &str) -> String {
        let files = self.files.iter().map(|(n, c)| serde_json::json!({"rfilename": n, "size": c.len()}));
        serde_json::json!({"sha": sha, "siblings": files.collect::<Vec<_>>()}).to_string()
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
