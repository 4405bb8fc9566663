//! What a caller gets for which there is no place: an answer at once, before
//! anything of its request is read, and the end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Said as the proxy's own answers are (RFC 9457, RFC 9209).
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/problem+json\r\n\
cache-control: no-store\r\n\
retry-after: 1\r\n\
proxy-status: dqe-proxy; error=connection_limit_reached; details=\"too_many_connections\"\r\n\
connection: close\r\n\
content-length: 224\r\n\r\n\
{\"code\":\"too_many_connections\",\"detail\":\"As many callers are connected as the proxy has places for (listener.max_connections).\",\"status\":503,\"title\":\"Service Unavailable\",\"type\":\"urn:dqe-proxy:problem:too_many_connections\"}\n";

/// Longest time a refused caller is given to read its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of it that are read and dropped meanwhile.
const MOST_DROPPED: u64 = 256 * 1024;

/// Answers and closes. What the caller has sent is read first, since a socket
/// closed with unread bytes is reset and its answer lost.
pub(super) async fn refuse(mut stream: TcpStream) {
    let refusing = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(MOST_DROPPED);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        io::Result::Ok(())
    };
    // Whether it has read the answer in time is its own affair.
    let _ = tokio::time::timeout(PATIENCE, refusing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_is_that_of_its_body() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
