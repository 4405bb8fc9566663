//! The other end: rustls's own server.

use std::io::{Read, Write};
use std::pin::pin;
use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConnection, SupportedProtocolVersion};

use super::*;

/// Who vouches for the server, and the server.
pub(super) struct Identity {
    pub(super) authority: CertificateDer<'static>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
}

pub(super) static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["dqe.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity {
        authority: authority.der().clone(),
        certificate: certificate.der().clone(),
        key,
    }
});

pub(super) type Version = &'static SupportedProtocolVersion;

pub(super) fn server_config(version: Version, more_certificates: usize) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(IDENTITY.key.serialize_der().into());
    let mut chain = vec![IDENTITY.certificate.clone()];
    chain.resize(1 + more_certificates, IDENTITY.authority.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// The other end.
pub(super) struct Server {
    pub(super) tls: ServerConnection,
    pub(super) socket: Socket,
    pub(super) received: Vec<u8>,
    pub(super) failure: Option<Error>,
}

impl Server {
    pub(super) fn new(config: Arc<ServerConfig>) -> Self {
        let mut tls = ServerConnection::new(config).unwrap();
        tls.set_buffer_limit(None);
        Self {
            tls,
            socket: Socket::default(),
            received: Vec::new(),
            failure: None,
        }
    }

    /// Takes what has come and sends what there is to send.
    pub(super) fn exchange(&mut self) {
        let wire = &mut *self.socket.0.borrow_mut();
        let came = std::mem::take(&mut wire.to_server);
        let mut came = &came[..];
        while !came.is_empty() && self.failure.is_none() {
            self.tls.read_tls(&mut came).unwrap();
            self.failure = self.tls.process_new_packets().err();
            let mut plain = [0; 4096];
            while let Ok(length @ 1..) = self.tls.reader().read(&mut plain) {
                self.received.extend_from_slice(&plain[..length]);
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire.to_client).unwrap();
        }
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
        self.exchange();
    }

    /// Ends the connection, after a `close_notify` or without one.
    pub(super) fn close(&mut self, says_so: bool) {
        if says_so {
            self.tls.send_close_notify();
        }
        self.exchange();
        self.socket.0.borrow_mut().ended = true;
    }

    /// Waits for the client to have done with `future`.
    pub(super) fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000_000 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                self.exchange();
                return output;
            }
            self.exchange();
        }
        panic!("neither side gets any further");
    }

    pub(super) fn connect_with(
        &mut self,
        config: Arc<ClientConfig>,
    ) -> io::Result<TlsStream<Socket>> {
        let name = ServerName::try_from("dqe.example").unwrap();
        let socket = self.socket.clone();
        self.drive(TlsStream::connect(config, name, socket, Scratch::default()))
    }

    pub(super) fn connect(&mut self) -> TlsStream<Socket> {
        self.connect_with(client_config()).unwrap()
    }
}
