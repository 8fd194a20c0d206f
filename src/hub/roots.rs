//! Whose certificates are trusted: the system's, so that a network with a proxy of its own works as it does for others.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::base::error::input;

/// Where systems keep their roots: Debian, Fedora, macOS and BSD, SUSE.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// The system's file, if it is in one of the usual places.
pub(super) fn of_system() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Trust the certificates of a file, or Mozilla's, which come with this program, where there is none.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(super) fn tls(file: Option<&Path>) -> Result<TlsConfig> {
    let Some(file) = file else { return Ok(TlsConfig::default()) };
    let wrong = |why: &str| {
        input(format!("{}: {why}: set SSL_CERT_FILE to a PEM file with the roots to trust", file.display()))
    };
    let text =
        std::fs::read(file).map_err(|error| wrong(&format!("cannot read the certificates ({error})")))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build())
}
