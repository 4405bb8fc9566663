//! From a server's name to a connection that is ready for HTTP: resolve,
//! connect, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::addresses::Addresses;
use super::tls::{Scratch, TlsStream};
use super::{Server, UpstreamError};

/// A connection to the server, plain (loopback only) or TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long one address is waited for before the next is tried beside it
/// (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens a connection. Addresses are tried in the resolver's order; when one does not
/// answer in [`ATTEMPT_DELAY`], the next is tried beside it. The first that accepts is
/// taken.
///
/// Has no deadline of its own: whoever awaits it sets one.
pub(super) async fn connect(
    server: &Server,
    addresses: &Addresses,
    tls: Arc<rustls::ClientConfig>,
    scratch: &Scratch,
) -> Result<Stream, UpstreamError> {
    let look_up = || {
        let (host, port) = (server.host().to_owned(), server.port());
        async move { lookup_host((host, port)).await.map(Vec::from_iter) }
    };
    let known = addresses.get(look_up).await.map_err(unresolved)?;
    match first_to_accept(&known).await {
        Ok(stream) => secure(server, tls, stream, scratch).await,
        Err(error) if is_no_socket_left(&error) => Err(UpstreamError::NoSocket(error)),
        Err(error) => {
            addresses.forget();
            Err(UpstreamError::Connect(error))
        }
    }
}

async fn first_to_accept(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut attempts = FuturesUnordered::new();
    let mut untried = addresses.iter();
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match untried.next() {
            Some(address) => attempts.push(TcpStream::connect(*address)),
            None if attempts.is_empty() => return Err(refused),
            None => {}
        }
        let outcome = if untried.len() == 0 {
            attempts.next().await
        } else {
            let soon = timeout(ATTEMPT_DELAY, attempts.next()).await;
            soon.unwrap_or_default()
        };
        match outcome {
            Some(Ok(stream)) => return Ok(stream),
            // The next address would need a descriptor too.
            Some(Err(error)) if is_no_socket_left(&error) => return Err(error),
            Some(Err(error)) => refused = error,
            None => {}
        }
    }
}

/// Descriptors have run out (`EMFILE`, `ENFILE`) or the system's buffers
/// (`ENOBUFS`, `ENOMEM`): nothing that the server, or a look at another address,
/// could help. The numbers are those of Linux.
fn is_no_socket_left(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// A name that cannot be resolved, or no descriptor to resolve it with: the
/// resolver does not say which, but the next socket does.
fn unresolved(error: io::Error) -> UpstreamError {
    match Socket::new(Domain::IPV4, Type::DGRAM, None) {
        Err(error) if is_no_socket_left(&error) => UpstreamError::NoSocket(error),
        Ok(_) | Err(_) => UpstreamError::Resolve(error),
    }
}

async fn secure(
    server: &Server,
    tls: Arc<rustls::ClientConfig>,
    stream: TcpStream,
    scratch: &Scratch,
) -> Result<Stream, UpstreamError> {
    // Small requests must not wait for an earlier segment's acknowledgement.
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    let Some(name) = server.tls_name() else {
        return Ok(Stream::Plain(stream));
    };
    let connected = TlsStream::connect(tls, name.clone(), stream, scratch.clone()).await;
    connected
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(UpstreamError::Tls)
}

impl Stream {
    /// What its bytes come from.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.io(),
        }
    }

    /// Some of a TLS record has come, and not all of it.
    pub(super) fn is_within_record(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.is_within_record(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// An address whose queue is full: it takes no connection and refuses none.
    async fn silent() -> (SocketAddr, Socket, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(taken) = timeout(ATTEMPT_DELAY, TcpStream::connect(address)).await {
            queue.push(taken.unwrap());
        }
        (address, socket, queue)
    }

    #[tokio::test]
    async fn an_address_that_is_silent_holds_up_none_that_answers() {
        let (silent, _socket, _queue) = silent().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = listener.local_addr().unwrap();
        let gone = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        for addresses in [
            vec![silent, answers],
            vec![gone, silent, gone, answers],
            vec![silent, silent, answers],
            vec![answers, silent],
        ] {
            let connecting = timeout(Duration::from_secs(20), first_to_accept(&addresses));
            let stream = connecting.await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), answers, "{addresses:?}");
        }
        for (addresses, expected) in [
            (vec![gone, gone], io::ErrorKind::ConnectionRefused),
            (vec![], io::ErrorKind::NotFound),
        ] {
            let refused = first_to_accept(&addresses).await.unwrap_err();
            assert_eq!(refused.kind(), expected, "{addresses:?}");
        }
    }
}
