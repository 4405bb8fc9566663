//! A caller's socket as hyper sees it: notes when a request begins to arrive
//! and when its caller leaves, and sees to it that the last answer can be read.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::progress::Progress;
use crate::caller::Closing;

/// Most bytes read before hyper reads on by itself; as many as it reads first, so
/// that what it takes in all is the same.
const FIRST: usize = 8 * 1024;

/// Longest time, and most bytes, that are read and dropped after the last answer.
const LINGER: Duration = Duration::from_secs(5);
const MOST_LINGERED: usize = 64 * 1024 * 1024;

/// The socket, and what was read from it before it was parked.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    progress: Rc<Progress>,
    /// Read once already; comes before what the socket holds.
    ahead: Bytes,
    /// Bytes dropped since the sending side was closed.
    lingered: Option<usize>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, progress: Rc<Progress>) -> Self {
        Self {
            stream,
            progress,
            ahead: Bytes::new(),
            lingered: None,
        }
    }

    /// The same socket, from which `ahead` has been read already.
    pub(super) fn with_ahead(mut self, ahead: Bytes) -> Self {
        self.ahead = ahead;
        self
    }

    /// Reads what comes first on a parked connection; empty at its end. That it
    /// can be read is no proof that there is anything: the runtime takes a new
    /// socket for readable until a read has found nothing.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut room = [MaybeUninit::uninit(); FIRST];
        let mut read = ReadBuf::uninit(&mut room);
        Pin::new(&mut self.stream)
            .poll_read(cx, &mut read)
            .map(|_| Bytes::copy_from_slice(read.filled()))
    }

    /// Whether the caller has left a request it will not get an answer to.
    /// hyper would find out by reading on, for which it takes a buffer of its own;
    /// a look takes none, and enters the kernel only when something has come.
    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut byte = [0];
        match ready!(self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
            // An old caller closes its sending side after its only request.
            Ok(0) if !self.progress.awaits_last_answer() => {
                Poll::Ready(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(_) => {
                self.progress.more_has_come();
                Poll::Pending
            }
            Err(error) => Poll::Ready(error),
        }
    }

    /// Reads and drops what the caller still sends. A socket closed with unread
    /// bytes is reset, and a caller that is still sending loses the answer that
    /// tells it why nobody listens (RFC 9112 §9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut lingered: usize) -> Poll<()> {
        let mut dropped = [0; 8 * 1024];
        while lingered < MOST_LINGERED {
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    lingered += buffer.filled().len();
                    self.lingered = Some(lingered);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.progress.may_have_unread() || lingered > 0 => {
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.progress.closing.get() != Closing::SaysNothing {
            // Time-outs, a lost server and the program's end all come here. If a reset
            // cannot be had, closing is all that is left.
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.has_remaining() {
            let length = self.ahead.len().min(buf.remaining());
            let first = self.ahead.split_to(length);
            buf.put_slice(&first);
            self.progress.bytes_read(&first);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            let read = &buf.filled()[before..];
            if !read.is_empty() {
                self.progress.bytes_read(read);
            } else if self.progress.awaits_last_answer() {
                // An old caller closes its sending side after its only request and waits
                // for the answer; hyper would take the end of file for its departure.
                self.progress.sending.close();
                return Poll::Pending;
            }
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper asks for this in each turn, when all it had has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.may_be_left()
            && let Poll::Ready(error) = self.poll_left(cx)
        {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.all_is_written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingered = match self.lingered {
            Some(lingered) => lingered,
            None => {
                match self.progress.closing.get() {
                    Closing::SaysNothing => {}
                    Closing::Misleads => return Poll::Ready(Ok(())),
                    // hyper has written everything before it gets here.
                    Closing::EndsAnswer => self.progress.closing.set(Closing::SaysNothing),
                }
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.lingered = Some(0);
                let longest = LINGER.min(self.progress.shared.idle_timeout);
                self.progress.lingers_for(longest);
                0
            }
        };
        self.poll_linger(cx, lingered).map(Ok)
    }
}
