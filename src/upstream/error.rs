//! Why a request got no answer from the server, or not a whole one.

use std::io;

pub use super::answer_head::InvalidHead;

/// A failed attempt to send one request.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// As many requests are at the server as the settings allow.
    #[error("as many requests are at the server as are allowed")]
    Full,
    /// The system has no descriptor or no memory left for a connection.
    #[error("the system has no socket left for a connection to the server")]
    NoSocket(#[source] io::Error),
    /// The server's name has no address, or the resolver did not answer.
    #[error("cannot resolve the server's name")]
    Resolve(#[source] io::Error),
    /// No address of the server accepted a connection.
    #[error("cannot connect to the server")]
    Connect(#[source] io::Error),
    /// The TLS handshake failed, a certificate that does not verify included.
    #[error("the TLS handshake with the server failed")]
    Tls(#[source] io::Error),
    /// The connection was closed before it took any byte of this request.
    #[error("the connection was already closed")]
    NeverSent(#[source] io::Error),
    /// The connection ended after the request was, at least in part, written
    /// and before the head of an answer.
    #[error("the connection ended before an answer came")]
    Broken {
        /// Whether the connection had served an earlier request, so that the
        /// server may have closed it as idle just then.
        reused: bool,
        /// What the system says.
        source: io::Error,
    },
    /// What came back is no HTTP answer.
    #[error("the server's answer is not valid HTTP")]
    Invalid(#[source] InvalidHead),
    /// The server switched to another protocol, which nobody had asked it to.
    #[error("the server switched protocols without being asked")]
    SwitchedProtocols,
    /// The body being forwarded broke off, which is the caller's doing.
    #[error("the caller's body broke off")]
    CallerBody,
}

impl From<InvalidHead> for UpstreamError {
    fn from(invalid: InvalidHead) -> Self {
        Self::Invalid(invalid)
    }
}

/// Why an answer's body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection ended before the body did.
    #[error("the answer broke off")]
    BrokeOff,
    /// The chunked coding is not as RFC 9112 §7.1 has it.
    #[error("the answer's chunks are malformed")]
    Chunks,
    /// Reading failed.
    #[error("the answer cannot be read on")]
    Read(#[source] io::Error),
}
