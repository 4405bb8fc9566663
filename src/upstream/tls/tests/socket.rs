//! A pipe in memory that hands bytes on in whatever pieces a story wants.

use std::collections::VecDeque;

use super::*;

/// The wire between the two, and what has happened on it.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) to_client: VecDeque<u8>,
    pub(super) to_server: Vec<u8>,
    /// The server's end is closed.
    pub(super) ended: bool,
    /// What the socket says when `to_client` is empty.
    pub(super) error: Option<io::ErrorKind>,
    /// How much a read brings at most, one after the other and again from the start;
    /// 0 is a read that finds nothing yet. Empty: as much as there is.
    pub(super) pieces: Vec<usize>,
    /// The same for writes.
    pub(super) portions: Vec<usize>,
    pub(super) reads: usize,
    pub(super) writes: usize,
}

#[derive(Clone, Default)]
pub(super) struct Socket(pub(super) Rc<RefCell<Wire>>);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.0.borrow_mut();
        let most = size(&wire.pieces, wire.reads);
        wire.reads += 1;
        if wire.to_client.is_empty() {
            return match wire.error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None if wire.ended => Poll::Ready(Ok(())),
                None => Poll::Pending,
            };
        }
        let length = most.min(out.remaining()).min(wire.to_client.len());
        if length == 0 {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = wire.to_client.drain(..length).collect();
        out.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &mut *self.0.borrow_mut();
        let length = size(&wire.portions, wire.writes).min(bytes.len());
        wire.writes += 1;
        if length == 0 {
            return Poll::Pending;
        }
        wire.to_server.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(super) fn size(sizes: &[usize], turn: usize) -> usize {
    match sizes {
        [] => usize::MAX,
        sizes => sizes[turn % sizes.len()],
    }
}
