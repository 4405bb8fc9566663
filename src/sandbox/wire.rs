//! Reading requests from a socket and writing answers to it, faults of the wire included.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::message::{self, Framing, HEAD_LIMIT};

/// Longest body read, in bytes; above it the connection ends.
const BODY_LIMIT: u64 = 16 * 1024 * 1024;
/// How long a peer may take to send the rest of a request, or to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes read ahead while an answer is held back.
const AHEAD_LIMIT: usize = 256 * 1024;

/// What a connection's transport can do besides reading and writing.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the closing of the socket a TCP reset instead of an orderly end.
    fn reset_on_close(&self);
}

impl Transport for TcpStream {
    fn reset_on_close(&self) {
        // When it fails the peer sees an orderly end instead, which its test will tell.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Transport for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// How waiting for a request head ended.
pub(crate) enum NextHead {
    Head(Bytes),
    /// The peer closed, or said nothing for too long.
    End,
    TooLong,
}

/// A connection with what was read from it and not yet used.
pub(crate) struct Wire<Stream> {
    stream: Stream,
    unread: BytesMut,
}

impl<Stream: Transport> Wire<Stream> {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            unread: BytesMut::with_capacity(8 * 1024),
        }
    }

    /// Waits for a whole request head, `idle` at most before its first byte.
    pub(crate) async fn next_head(&mut self, idle: Duration) -> io::Result<NextHead> {
        loop {
            if let Some(length) = message::head_length(&self.unread) {
                // Copied, so that the journal does not keep the whole read buffer alive.
                let head = Bytes::copy_from_slice(&self.unread[..length]);
                let _used = self.unread.split_to(length);
                return Ok(NextHead::Head(head));
            }
            if self.unread.len() > HEAD_LIMIT {
                return Ok(NextHead::TooLong);
            }
            let patience = if self.unread.is_empty() {
                idle
            } else {
                PATIENCE
            };
            match timeout(patience, self.stream.read_buf(&mut self.unread)).await {
                Ok(Ok(0)) | Err(_) => return Ok(NextHead::End),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Reads a body to its end: its first `kept` bytes and its whole length.
    pub(crate) async fn body(&mut self, framing: Framing, kept: usize) -> io::Result<(Bytes, u64)> {
        let mut body = Body {
            kept: Vec::new(),
            limit: kept,
            length: 0,
        };
        match framing {
            Framing::Length(length) => self.exactly(length, &mut body).await?,
            Framing::Chunked => loop {
                let size = self.line().await?;
                let digits = size
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or_default()
                    .trim_ascii();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| u64::from_str_radix(text, 16).ok());
                let size = size.ok_or_else(|| malformed("a chunk without a size"))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                self.exactly(size, &mut body).await?;
                if !self.line().await?.is_empty() {
                    return Err(malformed("a chunk longer than its size"));
                }
            },
        }
        Ok((Bytes::from(body.kept), body.length))
    }

    /// Writes and flushes, within a deadline: a peer that does not read holds nobody.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, sending)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Waits until the peer closes; what it sends meanwhile is read and dropped.
    pub(crate) async fn wait_for_end(&mut self) {
        let mut dropped = [0_u8; 4096];
        while matches!(self.stream.read(&mut dropped).await, Ok(read) if read > 0) {}
    }

    /// Waits for `delay`; false when the peer closed meanwhile.
    pub(crate) async fn pause(&mut self, delay: Duration) -> bool {
        let sleep = tokio::time::sleep(delay);
        tokio::pin!(sleep);
        loop {
            if self.unread.len() > AHEAD_LIMIT {
                sleep.await;
                return true;
            }
            tokio::select! {
                () = &mut sleep => return true,
                read = self.stream.read_buf(&mut self.unread) => {
                    if !matches!(read, Ok(length) if length > 0) {
                        return false;
                    }
                }
            }
        }
    }

    /// Closes in order: the peer reads what was sent, then the end.
    pub(crate) async fn close(mut self) {
        // The peer may be gone already, which is the same end.
        let _ = timeout(PATIENCE, self.stream.shutdown()).await;
    }

    /// Closes with a TCP reset.
    pub(crate) fn reset(self) {
        self.stream.reset_on_close();
    }

    async fn exactly(&mut self, length: u64, body: &mut Body) -> io::Result<()> {
        if body.length.saturating_add(length) > BODY_LIMIT {
            return Err(malformed("a body above the limit"));
        }
        let mut missing =
            usize::try_from(length).map_err(|_| malformed("a body above the limit"))?;
        while missing > 0 {
            if self.unread.is_empty() {
                self.more().await?;
            }
            let part = self.unread.split_to(missing.min(self.unread.len()));
            missing -= part.len();
            body.add(&part);
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = Bytes::copy_from_slice(&self.unread[..at]);
                let _used = self.unread.split_to(at + 2);
                return Ok(line);
            }
            if self.unread.len() > HEAD_LIMIT {
                return Err(malformed("a line without end"));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await {
            Ok(Ok(0)) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }
}

struct Body {
    kept: Vec<u8>,
    limit: usize,
    length: u64,
}

impl Body {
    fn add(&mut self, part: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len()).min(part.len());
        self.kept.extend_from_slice(&part[..room]);
        self.length += u64::try_from(part.len()).unwrap_or_default();
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
