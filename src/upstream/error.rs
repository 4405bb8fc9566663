//! Why a request got no answer from the server.

use std::io;

/// A failed attempt to send one request.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The server's name has no address, or the resolver did not answer.
    #[error("cannot resolve the server's name")]
    Resolve(#[source] io::Error),
    /// No address of the server accepted a connection.
    #[error("cannot connect to the server")]
    Connect(#[source] io::Error),
    /// The TLS handshake failed, a certificate that does not verify included.
    #[error("the TLS handshake with the server failed")]
    Tls(#[source] io::Error),
    /// A connection kept from an earlier request turned out to be closed
    /// before anything of this request was written.
    #[error("the kept connection was already closed")]
    NeverSent(#[source] hyper::Error),
    /// The connection ended after the request was, at least in part, written
    /// and before the head of an answer.
    #[error("the connection ended before an answer came")]
    Broken {
        /// Whether the connection had served an earlier request, so that the
        /// server may have closed it as idle just then.
        reused: bool,
        /// What hyper says.
        source: hyper::Error,
    },
    /// What came back is no HTTP answer.
    #[error("the server's answer is not valid HTTP")]
    Invalid(#[source] hyper::Error),
    /// The server switched to another protocol, which nobody had asked it to.
    #[error("the server switched protocols without being asked")]
    SwitchedProtocols,
    /// The body being forwarded failed, which is the caller's doing.
    #[error("the caller's body broke off")]
    CallerBody(#[source] hyper::Error),
}

impl UpstreamError {
    /// Whether it is certain that the server received nothing of the request.
    #[must_use]
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::Resolve(_) | Self::Connect(_) | Self::Tls(_) | Self::NeverSent(_) => true,
            Self::Broken { .. }
            | Self::Invalid(_)
            | Self::SwitchedProtocols
            | Self::CallerBody(_) => false,
        }
    }
}
