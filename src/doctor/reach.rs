//! How far a connection to a server gets, and why no further.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use rustls::CertificateError;
use tokio::net::TcpStream;

use crate::upstream::{Client, Lease, Server, Settings, UpstreamError};

/// Longest wait for the resolver.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(5);

/// Why a server is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The name has no address, as far as the system's resolver can tell.
    Name(String),
    /// The resolver does not answer.
    ResolverSilent,
    /// The port is closed.
    Refused,
    /// The system has no way there.
    Network(String),
    /// No connection in this time.
    Silent(Duration),
    /// A connection, and in this time no answer to the TLS handshake.
    TlsSilent(Duration),
    /// The certificate's authority is not trusted here.
    UnknownAuthority,
    /// The certificate is for another name.
    WrongName,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not begun.
    NotYetValid,
    /// Something that is no TLS answers.
    NoTls,
    /// The handshake fails otherwise.
    Tls(String),
}

/// The addresses of a name.
pub(super) async fn resolve(server: &Server) -> Result<Vec<IpAddr>, Obstacle> {
    let looked_up = tokio::net::lookup_host((server.host(), server.port()));
    match tokio::time::timeout(RESOLVER_PATIENCE, looked_up).await {
        Err(_) => Err(Obstacle::ResolverSilent),
        Ok(Err(error)) => Err(Obstacle::Name(error.to_string())),
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses.dedup();
            if addresses.is_empty() {
                return Err(Obstacle::Name("the name has no address".to_owned()));
            }
            Ok(addresses)
        }
    }
}

/// A connection that is ready for HTTP, made as the proxy makes its own.
pub(super) async fn connect(client: &Rc<Client>) -> Result<Lease, Obstacle> {
    let patience = client.settings().connect_timeout;
    match tokio::time::timeout(patience, client.connect()).await {
        Err(_) if takes_connections(client.settings()).await => Err(Obstacle::TlsSilent(patience)),
        Err(_) => Err(Obstacle::Silent(patience)),
        Ok(Ok(lease)) => Ok(lease),
        Ok(Err(error)) => Err(obstacle(&error)),
    }
}

/// Whether TCP alone gets through, where a connection with TLS did not come about in time.
async fn takes_connections(settings: &Settings) -> bool {
    let server = &settings.server;
    let connecting = TcpStream::connect((server.host(), server.port()));
    let connected = tokio::time::timeout(settings.connect_timeout, connecting).await;
    server.tls_name().is_some() && matches!(connected, Ok(Ok(_)))
}

fn obstacle(error: &UpstreamError) -> Obstacle {
    match error {
        UpstreamError::Resolve(error) => Obstacle::Name(error.to_string()),
        UpstreamError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Obstacle::Refused
        }
        UpstreamError::Connect(error) => Obstacle::Network(error.to_string()),
        UpstreamError::Tls(error) => tls(error),
        UpstreamError::NoSocket(error) => Obstacle::Network(error.to_string()),
        UpstreamError::Full
        | UpstreamError::NeverSent(_)
        | UpstreamError::Broken { .. }
        | UpstreamError::Invalid(_)
        | UpstreamError::SwitchedProtocols
        | UpstreamError::CallerBody => Obstacle::Network(error.to_string()),
    }
}

fn tls(error: &io::Error) -> Obstacle {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(cause) = cause else {
        return Obstacle::Tls(error.to_string());
    };
    match cause {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            // A bad signature: the authority only has the name of one that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Obstacle::UnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Obstacle::WrongName
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Obstacle::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Obstacle::NotYetValid
            }
            other => Obstacle::Tls(other.to_string()),
        },
        rustls::Error::InvalidMessage(_) => Obstacle::NoTls,
        other => Obstacle::Tls(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_handshake_is_told_apart_by_its_cause() {
        let certificate = |error| rustls::Error::InvalidCertificate(error);
        for (error, expected) in [
            (
                certificate(CertificateError::UnknownIssuer),
                Obstacle::UnknownAuthority,
            ),
            (
                certificate(CertificateError::NotValidForName),
                Obstacle::WrongName,
            ),
            (certificate(CertificateError::Expired), Obstacle::Expired),
            (
                certificate(CertificateError::NotValidYet),
                Obstacle::NotYetValid,
            ),
            (
                rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                Obstacle::NoTls,
            ),
        ] {
            let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(obstacle(&UpstreamError::Tls(wrapped)), expected);
        }
        let cut = UpstreamError::Tls(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(matches!(obstacle(&cut), Obstacle::Tls(_)));
        let refused = UpstreamError::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(obstacle(&refused), Obstacle::Refused);
        let unreachable = UpstreamError::Connect(io::Error::from(io::ErrorKind::HostUnreachable));
        assert!(matches!(obstacle(&unreachable), Obstacle::Network(_)));
    }
}
