//! Where the hub is, where its cache is and who asks: the variables that `huggingface_hub` reads.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::roots;
use crate::base::error::input;

/// How to reach the hub.
#[derive(Clone)]
pub struct HubSettings {
    /// Address of the hub without a slash at the end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The folder that holds `models--owner--name` (`HF_HUB_CACHE`).
    pub cache: PathBuf,
    /// Sent to the endpoint and to no other host (`HF_TOKEN`).
    pub token: Option<String>,
    /// Use the cache only and open no socket (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// PEM file with the certificates to trust (`SSL_CERT_FILE`); Mozilla's if `None`.
    pub roots: Option<PathBuf>,
    /// How long to wait for a server that says nothing.
    pub timeout: Duration,
    /// The pause before the second try; it doubles with each further one.
    pub pause: Duration,
}

impl HubSettings {
    /// As the environment says, by the rules of `huggingface_hub`:
    ///
    /// * `HF_ENDPOINT`, else `https://huggingface.co`;
    /// * `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `$HF_HOME/hub`, where `HF_HOME` is by default
    ///   `$XDG_CACHE_HOME/huggingface` or `~/.cache/huggingface`;
    /// * `HF_TOKEN`, else `HUGGING_FACE_HUB_TOKEN`, else the file `HF_TOKEN_PATH`, else `$HF_HOME/token`; none if
    ///   `HF_HUB_DISABLE_IMPLICIT_TOKEN` is true;
    /// * `HF_HUB_OFFLINE`, else `TRANSFORMERS_OFFLINE`: `1`, `true`, `yes`, `on` in any case;
    /// * `SSL_CERT_FILE`, else the system's file of certificates, else Mozilla's.
    ///
    /// A leading `~/` of a path is the home folder; variables inside a path are not expanded.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the variable whose value cannot be used.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        // An empty variable counts as none, as `or` does in Python.
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
        let user = first(&["HOME", "USERPROFILE"]).map(PathBuf::from);
        let path =
            |names: &[&str]| first(names).map(|path| expand_home(PathBuf::from(path), user.as_deref()));
        let home = path(&["HF_HOME"])
            .or_else(|| path(&["XDG_CACHE_HOME"]).map(|cache| cache.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache/huggingface")))
            .ok_or_else(|| {
                input("neither HF_HOME nor HOME is set, so there is no cache: set HF_HOME to a folder")
            })?;
        let endpoint = first(&["HF_ENDPOINT"]).unwrap_or_else(|| "https://huggingface.co".into());
        let token = if is_true(first(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) {
            None
        } else if let Some(token) = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
            clean_token(&token.to_string_lossy(), "HF_TOKEN")?
        } else {
            token_of_file(&path(&["HF_TOKEN_PATH"]).unwrap_or_else(|| home.join("token")))?
        };
        Ok(Self {
            endpoint: check_endpoint(&endpoint.to_string_lossy())?,
            cache: path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).unwrap_or_else(|| home.join("hub")),
            token,
            offline: is_true(first(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])),
            roots: path(&["SSL_CERT_FILE"]).or_else(roots::of_system),
            timeout: Duration::from_secs(30),
            pause: Duration::from_millis(500),
        })
    }
}

impl fmt::Debug for HubSettings {
    /// Without the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "hidden");
        let Self { endpoint, cache, offline, .. } = self;
        write!(f, "HubSettings {{ {endpoint}, {}, token: {token:?}, offline: {offline} }}", cache.display())
    }
}

fn is_true(value: Option<OsString>) -> bool {
    value.is_some_and(|v| ["1", "on", "yes", "true"].iter().any(|word| v.eq_ignore_ascii_case(word)))
}

fn expand_home(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

fn check_endpoint(written: &str) -> Result<String> {
    let endpoint = written.trim_end_matches('/');
    let uri: Option<ureq::http::Uri> = endpoint.parse().ok();
    let usable = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
    });
    if !usable {
        return Err(input(format!(
            "HF_ENDPOINT: `{}` is no address of a hub: write https://HOST, or unset it",
            written.escape_debug()
        )));
    }
    Ok(endpoint.into())
}

/// The token without white space around it; an empty one is none.
fn clean_token(written: &str, origin: &str) -> Result<Option<String>> {
    let token = written.trim();
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(input(format!(
            "{origin}: holds characters that no token has: copy the token again from the hub's settings"
        )));
    }
    Ok((!token.is_empty()).then(|| token.into()))
}

fn token_of_file(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => clean_token(&text, &path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(input(format!(
            "{}: cannot read the token ({error}): mend it or set HF_TOKEN",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<HubSettings> {
        HubSettings::from_variables(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn defaults() {
        let found = settings(&[("HOME", "/nowhere/u")]).unwrap();
        assert_eq!(found.endpoint, "https://huggingface.co");
        assert_eq!(found.cache, Path::new("/nowhere/u/.cache/huggingface/hub"));
        assert!(found.token.is_none() && !found.offline);
        assert!(settings(&[]).is_err());
    }

    #[test]
    fn folders_take_precedence_as_in_python() {
        let cache = |variables: &[(&str, &str)]| {
            let all: Vec<_> = [("HOME", "/u")].iter().chain(variables).copied().collect();
            settings(&all).unwrap().cache
        };
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]), Path::new("/u/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/d"), ("HUGGINGFACE_HUB_CACHE", "/c")]), Path::new("/d"));
    }

    #[test]
    fn offline_is_read_as_python_reads_it() {
        for (value, expected) in [("1", true), ("True", true), ("YES", true), ("on", true), ("0", false)] {
            assert_eq!(
                settings(&[("HOME", "/u"), ("HF_HUB_OFFLINE", value)]).unwrap().offline,
                expected,
                "{value}"
            );
        }
        assert!(settings(&[("HOME", "/u"), ("TRANSFORMERS_OFFLINE", "1")]).unwrap().offline);
        let both = [("HOME", "/u"), ("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")];
        assert!(!settings(&both).unwrap().offline);
    }

    #[test]
    fn tokens_from_variables_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("token"), " of-file\n").unwrap();
        std::fs::write(folder.path().join("other"), "other").unwrap();
        let token = |variables: &[(&str, &str)]| {
            let all: Vec<_> = [("HF_HOME", home)].iter().chain(variables).copied().collect();
            settings(&all).unwrap().token
        };
        assert_eq!(token(&[]).as_deref(), Some("of-file"));
        assert_eq!(token(&[("HF_TOKEN_PATH", &format!("{home}/other"))]).as_deref(), Some("other"));
        assert_eq!(token(&[("HF_TOKEN", "a"), ("HUGGING_FACE_HUB_TOKEN", "b")]).as_deref(), Some("a"));
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "b")]).as_deref(), Some("b"));
        assert_eq!(token(&[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert!(settings(&[("HF_HOME", home), ("HF_TOKEN", "a\nb")]).is_err());
        let shown = format!("{:?}", settings(&[("HF_HOME", home), ("HF_TOKEN", "secret")]).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn endpoints() {
        let endpoint = |value| settings(&[("HOME", "/u"), ("HF_ENDPOINT", value)]).map(|s| s.endpoint);
        assert_eq!(endpoint("https://hf-mirror.com/").unwrap(), "https://hf-mirror.com");
        for bad in ["hf-mirror.com", "ftp://x", "https://", "http://a b", "https://x/?y"] {
            assert!(endpoint(bad).unwrap_err().to_string().contains("HF_ENDPOINT"), "{bad}");
        }
    }
}
