//! From a server's name to a connection that is ready for HTTP: resolve,
//! connect, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

use super::addresses::Addresses;
use super::tls::{Scratch, TlsStream};
use super::{Server, UpstreamError};

/// A connection to the server, plain (loopback only) or TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a connection. Addresses are tried in the resolver's order; the first
/// that accepts is taken.
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
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(*address).await {
            Ok(stream) => return Ok(stream),
            // The next address would want the same.
            Err(error) if is_no_socket_left(&error) => return Err(error),
            Err(error) => refused = error,
        }
    }
    Err(refused)
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
