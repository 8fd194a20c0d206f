//! Requests to the hub. The token goes to the endpoint and to no other host.

use std::io::Read;
use std::time::Duration;

use hf_hub::{Repo, RepoType};
use ureq::http::header::{AUTHORIZATION, RANGE};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::checksum::Checksum;
use super::failure::{Failure, Patience};
use super::id::is_commit;
use super::listing::Listing;
use super::{Transfer, roots};
use crate::base::error::input;

/// Redirects that are followed in a row.
const REDIRECTS: usize = 8;
/// The longest answer that is taken for a listing.
const LONGEST_LISTING: u64 = 64 << 20;

/// Asks for one model.
pub(super) struct Client<'a> {
    job: Transfer<'a>,
    agent: Agent,
    repo: Repo,
}

/// What the hub announces of a file.
pub(super) struct Announced {
    /// Its checksum, 40 or 64 hexadecimal digits: the name of its blob.
    pub(super) etag: String,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// An answer with success, and from whom.
pub(super) struct Answer {
    /// Who answered.
    pub(super) host: String,
    /// What.
    pub(super) response: Response<Body>,
}

impl<'a> Client<'a> {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// The file of certificates cannot be used.
    pub(super) fn new(job: Transfer<'a>) -> anyhow::Result<Self> {
        let timeout = Some(job.settings.timeout);
        let agent = Agent::config_builder()
            .tls_config(roots::tls(job.settings.roots.as_deref())?)
            // Followed here, so that the token can be left out.
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            // Sizes and checksums are those of the file itself.
            .accept_encoding("identity")
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let repo = Repo::with_revision(job.id.repo.clone(), RepoType::Model, job.id.revision().into());
        Ok(Self { job, agent, repo })
    }

    /// Which commit the revision is, and what it holds.
    pub(super) fn listing(&self) -> Result<Listing, Failure> {
        let url = format!("{}/api/{}?blobs=true", self.job.settings.endpoint, self.repo.api_url());
        let mut patience = Patience::new(self.job);
        loop {
            match self.ask(Method::GET, &url, None, "its list of files").and_then(read_listing) {
                Err(failure) => patience.wait(failure)?,
                listing => return listing,
            }
        }
    }

    /// Size and checksum of a file.
    pub(super) fn announced(&self, commit: &str, name: &str) -> Result<Announced, Failure> {
        let url = self.file_url(commit, name);
        let mut patience = Patience::new(self.job);
        loop {
            match self.ask(Method::HEAD, &url, None, name) {
                Err(failure) => patience.wait(failure)?,
                Ok(answer) => return announced(&answer, name),
            }
        }
    }

    /// The content of a file from a byte on. One try: what arrives until it breaks is the caller's to keep.
    pub(super) fn content(&self, commit: &str, name: &str, from: u64) -> Result<Answer, Failure> {
        self.ask(Method::GET, &self.file_url(commit, name), (from > 0).then_some(from), name)
    }

    /// The commit instead of the revision: all files are of one commit, even if the branch moves meanwhile.
    fn file_url(&self, commit: &str, name: &str) -> String {
        format!(
            "{}/{}/resolve/{commit}/{}",
            self.job.settings.endpoint,
            self.repo.url(),
            percent_encoded(name)
        )
    }

    /// Follow redirects until somebody answers. A `HEAD` stays with the hub, which knows the checksum.
    fn ask(&self, method: Method, url: &str, from: Option<u64>, what: &str) -> Result<Answer, Failure> {
        let mut uri = parse(url)?;
        for _ in 0..=REDIRECTS {
            let response = self.send(method.clone(), &uri, from)?;
            let host = authority(&uri);
            let answer = Answer { host, response };
            if !answer.response.status().is_redirection() {
                return self.judge(answer, &uri, what);
            }
            let next = redirect(&uri, answer.response.headers())?;
            if method == Method::HEAD && (answer.header("x-linked-etag").is_some() || !self.is_hub(&next)) {
                return Ok(answer);
            }
            uri = next;
        }
        Err(Failure::fault(format!("{} redirects in a circle", authority(&uri))))
    }

    fn send(&self, method: Method, uri: &Uri, from: Option<u64>) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = self.job.settings.token.as_ref().filter(|_| self.is_hub(uri)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request = request.body(()).map_err(|error| Failure::fault(format!("{uri}: {error}")))?;
        self.agent.run(request).map_err(|error| Failure::transport(&authority(uri), error))
    }

    /// Same scheme, host and port as the endpoint.
    fn is_hub(&self, uri: &Uri) -> bool {
        let endpoint: Option<Uri> = self.job.settings.endpoint.parse().ok();
        endpoint.is_some_and(|endpoint| origin(&endpoint) == origin(uri))
    }

    /// Success, or the sentence that a refusal deserves.
    fn judge(&self, answer: Answer, uri: &Uri, what: &str) -> Result<Answer, Failure> {
        let status = answer.response.status();
        let host = &answer.host;
        if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
            return Ok(answer);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let wait =
                answer.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
            let reason = match status {
                StatusCode::TOO_MANY_REQUESTS => "too many requests; a token (HF_TOKEN) raises the limit",
                _ => "its own failure",
            };
            return Err(Failure::Passing { message: format!("{host} answered {status} ({reason})"), wait });
        }
        if !self.is_hub(uri) {
            // An address that the hub signs has expired, mostly; the hub gives out a new one.
            return Err(Failure::passing(format!("{host} answered {status} for {what}")));
        }
        Err(self.refusal(status, answer.response.headers(), what))
    }

    /// What the hub's refusal means and what helps.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, what: &str) -> Failure {
        let (id, endpoint) = (self.job.id, &self.job.settings.endpoint);
        let (repo, revision) = (&id.repo, id.revision());
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (code, said) = (text("x-error-code"), text("x-error-message"));
        // Comes with the code of a model that is not there.
        let code = if said.starts_with("Invalid credentials") { "InvalidToken" } else { code };
        let token = self.job.settings.token.is_some();
        let sentence = match (code, status.as_u16()) {
            ("GatedRepo", _) if token => format!(
                "{id}: the token's account has no access yet: accept the licence at {endpoint}/{repo} with that account"
            ),
            ("GatedRepo", _) => format!(
                "{id} is gated and no token was sent: accept the licence at {endpoint}/{repo}, make a token at \
                 {endpoint}/settings/tokens and set HF_TOKEN to it"
            ),
            ("RevisionNotFound", _) => format!(
                "{id}: the repository has no revision `{revision}`: see its branches and tags at \
                 {endpoint}/{repo}/tree/main"
            ),
            ("RepoNotFound", 403) | ("DisabledRepo", _) => format!("{id}: the hub has closed this model"),
            ("RepoNotFound", _) | ("", 404) if token => format!(
                "{id}: {endpoint} has no model {repo}, or hides it from this token: check the spelling, or the token's \
                 rights in HF_TOKEN"
            ),
            ("RepoNotFound", _) | ("", 404 | 401) if !token => format!(
                "{id}: {endpoint} has no model {repo}, or it is private or gated and no token was sent: check the \
                 spelling; for a private or gated one, accept its licence at {endpoint}/{repo} and set HF_TOKEN"
            ),
            ("EntryNotFound", _) => format!("{id}: the repository has no {what}"),
            (_, 401) => format!(
                "{id}: the token was not accepted: make a new one at {endpoint}/settings/tokens and set HF_TOKEN to it, \
                 or unset HF_TOKEN and delete the saved one if the model is public"
            ),
            (_, 403) => format!(
                "{id}: access denied {}: accept the licence at {endpoint}/{repo}, and set HF_TOKEN to a token that may \
                 read it",
                if token { "in spite of the token" } else { "without a token" }
            ),
            _ => {
                let said: String = said.chars().take(200).collect();
                return Failure::fault(format!("{id}: {endpoint} refused {what} with {status} {said}"));
            }
        };
        Failure::Final(input(sentence))
    }
}

impl Answer {
    /// A header, if it is there and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Whether a page for people came in place of a file.
    pub(super) fn is_page(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
    }
}

fn read_listing(answer: Answer) -> Result<Listing, Failure> {
    let host = answer.host;
    let mut text = String::new();
    let mut body = answer.response.into_body().into_with_config().limit(LONGEST_LISTING).reader();
    body.read_to_string(&mut text).map_err(|error| Failure::transport(&host, error.into()))?;
    // A login page of some network in between, mostly.
    let listing: Listing = serde_json::from_str(&text).map_err(|_| {
        Failure::Away(format!("{host} answers, but not as a hub does (a login page or a proxy?)"))
    })?;
    if !is_commit(&listing.sha) {
        return Err(Failure::fault(format!("{host} names a commit that is none")));
    }
    Ok(listing)
}

fn announced(answer: &Answer, name: &str) -> Result<Announced, Failure> {
    let host = &answer.host;
    let refuse = |what: &str| {
        Failure::fault(format!(
            "{host} announces no {what} for {name}, so it could not be verified: use another HF_ENDPOINT"
        ))
    };
    let etag = answer.header("x-linked-etag").or_else(|| answer.header("etag")).unwrap_or_default();
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    // The length of a redirect is that of its own text.
    let whole = !answer.response.status().is_redirection();
    let size = answer.header("x-linked-size").or_else(|| answer.header("content-length").filter(|_| whole));
    let size = size.and_then(|text| text.parse().ok()).ok_or_else(|| refuse("size"))?;
    Checksum::of(etag, size).ok_or_else(|| refuse("checksum"))?;
    Ok(Announced { etag: etag.into(), size })
}

/// Where a redirect leads.
fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, Failure> {
    let host = authority(from);
    let scheme = from.scheme_str().unwrap_or("https");
    let place = headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let place = match place {
        _ if place.starts_with("//") => format!("{scheme}:{place}"),
        _ if place.starts_with('/') => format!("{scheme}://{host}{place}"),
        _ => place.to_string(),
    };
    let next = parse(&place)?;
    if scheme == "https" && next.scheme_str() != Some("https") {
        return Err(Failure::fault(format!("{host} redirects from https to {place}, which is not followed")));
    }
    Ok(next)
}

fn parse(url: &str) -> Result<Uri, Failure> {
    let uri: Option<Uri> = url.parse().ok();
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| Failure::fault(format!("`{}` is no address to fetch from", url.escape_debug())))
}

fn authority(uri: &Uri) -> String {
    uri.authority().map_or_else(String::new, ToString::to_string)
}

fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let port = uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    });
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), port)
}

/// A name as part of an address.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
