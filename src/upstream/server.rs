//! The address of a DQE server, checked once.

use std::net::IpAddr;

use http::HeaderValue;
use rustls::pki_types::ServerName;

/// An origin requests are forwarded to. Plain HTTP only to this machine: a
/// bearer token never crosses a network in the clear (RFC 6750 §5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
    /// Name for SNI and certificate verification; `None` is plain HTTP.
    tls_name: Option<ServerName<'static>>,
    authority: HeaderValue,
}

/// Why a text is no usable server address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// Not `http://…` or `https://…`.
    #[error("a server is written https://name, with an optional port")]
    NotAnOrigin,
    /// A path, query or fragment follows the authority.
    #[error("a server has no path, query or fragment: write https://name only")]
    HasPath,
    /// User information stands before the host.
    #[error("a server address carries no user name or password")]
    HasUserInfo,
    /// Plain HTTP to another machine.
    #[error(
        "plain http is accepted for a loopback address only, since the token would cross the network in the clear: write https://"
    )]
    PlainHttp,
}

impl Server {
    /// Parses an origin such as `https://prod2.dqe-software.com`. One trailing
    /// slash is accepted.
    ///
    /// # Errors
    /// See [`InvalidServer`].
    pub fn parse(text: &str) -> Result<Self, InvalidServer> {
        let (https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) | None => return Err(InvalidServer::NotAnOrigin),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(InvalidServer::HasUserInfo);
        }
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(InvalidServer::HasPath);
        }
        let authority: http::uri::Authority =
            rest.parse().map_err(|_| InvalidServer::NotAnOrigin)?;
        let bracketed = authority.host();
        let host = bracketed
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        let port = match rest.strip_prefix(bracketed) {
            Some("") => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => port
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port != 0)
                .ok_or(InvalidServer::NotAnOrigin)?,
            None => return Err(InvalidServer::NotAnOrigin),
        };
        if host.is_empty() {
            return Err(InvalidServer::NotAnOrigin);
        }
        let tls_name = if https {
            Some(ServerName::try_from(host.clone()).map_err(|_| InvalidServer::NotAnOrigin)?)
        } else if is_loopback(&host) {
            None
        } else {
            return Err(InvalidServer::PlainHttp);
        };
        let authority = HeaderValue::from_str(&rest.to_ascii_lowercase())
            .map_err(|_| InvalidServer::NotAnOrigin)?;
        Ok(Self {
            host,
            port,
            tls_name,
            authority,
        })
    }

    /// Host name or address without brackets, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Name to verify the certificate against; `None` means plain HTTP.
    #[must_use]
    pub fn tls_name(&self) -> Option<&ServerName<'static>> {
        self.tls_name.as_ref()
    }

    /// Value of the `Host` field, as it was written in the settings.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The origin as a URL prefix without trailing slash.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.tls_name.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.authority.to_str().unwrap_or_default())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_apart() {
        for (text, host, port, tls, origin) in [
            (
                "https://prod2.dqe-software.com",
                "prod2.dqe-software.com",
                443,
                true,
                "https://prod2.dqe-software.com",
            ),
            (
                "HTTPS://Prod2.DQE-software.com:8443/",
                "prod2.dqe-software.com",
                8443,
                true,
                "https://prod2.dqe-software.com:8443",
            ),
            (
                "http://127.0.0.1:8600",
                "127.0.0.1",
                8600,
                false,
                "http://127.0.0.1:8600",
            ),
            (
                "http://localhost:8600/",
                "localhost",
                8600,
                false,
                "http://localhost:8600",
            ),
            ("http://[::1]:8600", "::1", 8600, false, "http://[::1]:8600"),
        ] {
            let server = Server::parse(text).unwrap();
            assert_eq!(
                (server.host(), server.port(), server.tls_name().is_some()),
                (host, port, tls),
                "{text}"
            );
            assert_eq!(server.origin(), origin);
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_its_reason() {
        for (text, reason) in [
            ("prod2.dqe-software.com", InvalidServer::NotAnOrigin),
            ("ftp://prod2.dqe-software.com", InvalidServer::NotAnOrigin),
            ("https://", InvalidServer::NotAnOrigin),
            ("https://a b", InvalidServer::NotAnOrigin),
            ("https://name:", InvalidServer::NotAnOrigin),
            ("https://name:99999", InvalidServer::NotAnOrigin),
            ("https://name/v1", InvalidServer::HasPath),
            ("https://name?x", InvalidServer::HasPath),
            ("https://user:password@name", InvalidServer::HasUserInfo),
            ("http://prod2.dqe-software.com", InvalidServer::PlainHttp),
            ("http://10.1.2.3:8080", InvalidServer::PlainHttp),
        ] {
            assert_eq!(Server::parse(text), Err(reason), "{text}");
        }
    }
}
