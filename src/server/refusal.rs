//! What a caller gets for which there is no place: an answer at once, before
//! anything of its request is read, and the end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::metrics::SHED_REASONS;

/// Why a connection is refused; in the order of [`crate::metrics::SHED_REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// `listener.max_connections` callers are connected.
    Full,
    /// The caller's address has `listener.max_connections_per_caller`.
    CallerHasEnough,
}

/// Written as the proxy's other answers of its own are (RFC 9457, RFC 9209).
macro_rules! answer {
    ($code:literal, $detail:literal, $length:literal) => {
        concat!(
            "HTTP/1.1 503 Service Unavailable\r\n",
            "content-type: application/problem+json\r\n",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "retry-after: 1\r\n",
            "proxy-status: dqe-proxy; error=connection_limit_reached; details=\"",
            $code,
            "\"\r\nconnection: close\r\ncontent-length: ",
            $length,
            "\r\n\r\n{\"code\":\"",
            $code,
            "\",\"detail\":\"",
            $detail,
            "\",\"status\":503,\"title\":\"Service Unavailable\",\"type\":\"urn:dqe-proxy:problem:",
            $code,
            "\"}\n"
        )
    };
}

impl Reason {
    /// The whole answer, ready to be written.
    fn answer(self) -> &'static str {
        match self {
            Self::Full => answer!(
                "too_many_connections",
                "As many callers are connected as the proxy has places for (listener.max_connections).",
                "224"
            ),
            Self::CallerHasEnough => answer!(
                "too_many_connections_of_caller",
                "This address has as many connections as one caller may have (listener.max_connections_per_caller).",
                "257"
            ),
        }
    }

    /// The key of `[listener]` that says so.
    pub(super) fn setting(self) -> &'static str {
        SHED_REASONS[self as usize]
    }
}

/// Longest time a refused caller is given to read its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of it that are read and dropped meanwhile.
const MOST_DROPPED: u64 = 256 * 1024;

/// Answers and closes. Before it closes, it reads and drops what the caller has sent:
/// a socket closed with unread bytes is reset, and its answer lost.
pub(super) async fn refuse(mut stream: TcpStream, reason: Reason) {
    let refusing = async {
        stream.write_all(reason.answer().as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(MOST_DROPPED);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        io::Result::Ok(())
    };
    // A caller that does not read the answer in time goes without it.
    let _ = tokio::time::timeout(PATIENCE, refusing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_is_that_of_its_body() {
        for reason in [Reason::Full, Reason::CallerHasEnough] {
            let (head, body) = reason.answer().split_once("\r\n\r\n").unwrap();
            assert!(
                head.ends_with(&format!("content-length: {}", body.len())),
                "{}",
                body.len()
            );
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
        }
    }
}
