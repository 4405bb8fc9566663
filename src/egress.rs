//! The way out: trust roots, TLS policy and the HTTP client of the token
//! endpoint, built once and shared, so that forwarding and token calls can
//! never differ in what they trust.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::secret::is_named_pipe;

/// Longest file of authorities. What every system trusts is a quarter of a megabyte.
const MOST_OF_CA_FILE: u64 = 16 * 1024 * 1024;

/// What leaves this machine, and how it is trusted.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// PEM files with authorities trusted besides the system's.
    pub ca_files: Vec<PathBuf>,
}

/// Why the way out could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A file of extra authorities cannot be read or holds no certificate.
    #[error("cannot use the CA file {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither the system nor the settings name any authority.
    #[error(
        "no trusted certificate authority: the system has none and upstream.ca_files names none"
    )]
    NoRoots,
    /// rustls refused the policy.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
    /// The client for the token endpoint cannot be built.
    #[error("cannot prepare the client of the token endpoint")]
    TokenClient(#[from] reqwest::Error),
}

/// Why the file at `path` cannot be one of [`Settings::ca_files`]; `None` when it can.
#[must_use]
pub fn unusable_ca_file(path: &Path) -> Option<String> {
    add_authorities(path, &mut rustls::RootCertStore::empty()).err()
}

/// Adds the certificates of a PEM file, or says what is wrong with it.
fn add_authorities(path: &Path, roots: &mut rustls::RootCertStore) -> Result<(), String> {
    // Opening it would wait for somebody to write into it, at a reload as well.
    if is_named_pipe(path) {
        return Err("it is a named pipe".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(MOST_OF_CA_FILE + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_OF_CA_FILE {
        return Err("it is larger than 16 MiB".to_owned());
    }
    let mut certificates = 0;
    for entry in CertificateDer::pem_slice_iter(&text) {
        let certificate = entry.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        certificates += 1;
    }
    if certificates == 0 {
        return Err("it holds no PEM certificate".to_owned());
    }
    Ok(())
}

/// One TLS policy with the trust roots in it. Certificates are always
/// verified: name, dates and chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Egress {
    tls: Arc<rustls::ClientConfig>,
}

impl Egress {
    /// Reads the system's roots and the extra files, and fixes the policy:
    /// TLS 1.2 or 1.3, aws-lc-rs. Without `needs_tls` nothing of the system is
    /// read: whatever is trusted then, nobody asks.
    ///
    /// # Errors
    /// When an extra file is unusable. Missing system roots are an error only
    /// when `needs_tls` and there is no other root.
    pub fn build(settings: &Settings, needs_tls: bool) -> Result<Self, EgressError> {
        let mut roots = rustls::RootCertStore::empty();
        if needs_tls {
            // Half of a cold start. A damaged certificate in the system's store must not
            // keep the rest from being used.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        for path in &settings.ca_files {
            add_authorities(path, &mut roots).map_err(|reason| EgressError::CaFile {
                path: path.clone(),
                reason,
            })?;
        }
        if needs_tls && roots.is_empty() {
            return Err(EgressError::NoRoots);
        }
        // The provider is named here, never taken from the process default: a second
        // provider in the build cannot then make start-up panic.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls) })
    }

    /// The policy for connections that forward requests.
    #[must_use]
    pub fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// A client for the token endpoint: no redirect is followed, nothing is
    /// retried behind our back, no proxy is taken from the environment.
    ///
    /// # Errors
    /// When reqwest refuses the settings.
    pub fn token_client(&self, connect_timeout: Duration) -> Result<reqwest::Client, EgressError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(2)
            .connect_timeout(connect_timeout)
            .user_agent(concat!("dqe-proxy/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(client)
    }
}
