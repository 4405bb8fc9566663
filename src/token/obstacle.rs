//! What kept a connection to the token endpoint from being made, as far as the layers
//! below tell. For a person who has to find the fault, not for decisions.

use std::error::Error;
use std::io;

/// What kept a connection from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The name of the server has no address, or the resolver is silent.
    Name,
    /// Nothing listens at the address.
    Refused,
    /// The address answers nothing, or there is no way to it.
    NoWay,
    /// The certificate of the server is not trusted, or not for its name, or
    /// out of its dates.
    Certificate,
    /// The other side does not speak TLS as we do, or ends the handshake.
    Tls,
}

impl Obstacle {
    /// The obstacle named by `error`, a failure to connect, or one of its causes.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let found = error
                .downcast_ref::<io::Error>()
                .map_or_else(|| Self::of_other(error), Self::of_io);
            if found.is_some() {
                return found;
            }
            next = error.source();
        }
        None
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        // What an I/O error wraps is not among its causes: its causes are.
        let inner = error.get_ref();
        if let Some(found) = inner.and_then(|inner| Self::of(inner)) {
            return Some(found);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Some(Self::NoWay),
            // Before TLS nothing is read: what ends is the handshake.
            io::ErrorKind::UnexpectedEof => Some(Self::Tls),
            // The standard library has no kind for it.
            _ if error.to_string().starts_with("failed to lookup address") => Some(Self::Name),
            _ => None,
        }
    }

    fn of_other(error: &(dyn Error + 'static)) -> Option<Self> {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(_)) => Some(Self::Certificate),
            Some(_) => Some(Self::Tls),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a call failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_obstacle_is_found_among_the_causes() {
        let certificate =
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let of_tls = rustls::Error::General("odd".to_owned());
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate));
        for (error, expected) in [
            (
                io::Error::from(io::ErrorKind::ConnectionRefused),
                Some(Obstacle::Refused),
            ),
            (
                io::Error::from(io::ErrorKind::NetworkUnreachable),
                Some(Obstacle::NoWay),
            ),
            (
                io::Error::other("failed to lookup address information: unknown"),
                Some(Obstacle::Name),
            ),
            (nested, Some(Obstacle::Certificate)),
            (io::Error::other(of_tls), Some(Obstacle::Tls)),
            (
                io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"),
                Some(Obstacle::Tls),
            ),
            (io::Error::from(io::ErrorKind::ConnectionReset), None),
        ] {
            let said = error.to_string();
            assert_eq!(Obstacle::of(&Outer(error)), expected, "{said}");
        }
    }
}
