//! A throwaway certificate authority and a server certificate, made at start, gone at the end.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// The names the server certificate is good for.
const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "dqe.sandbox"];

/// What HTTPS needs, and the authority to trust.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) authority_pem: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A key or certificate could not be made.
    #[error("no certificate could be made")]
    Made(#[from] rcgen::Error),
    /// The certificate was made and is not usable.
    #[error("the certificate is not usable")]
    Usable(#[from] rustls::Error),
}

/// Makes an authority and a certificate it has signed.
pub(crate) fn identity() -> Result<Identity, CertificateError> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "dqe-proxy sandbox authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(NAMES.map(str::to_owned).to_vec())?;
    server
        .distinguished_name
        .push(DnType::CommonName, "dqe-proxy sandbox");
    let certificate = server.signed_by(&key, &issuer)?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private_key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private_key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        authority_pem: authority_certificate.pem(),
    })
}
