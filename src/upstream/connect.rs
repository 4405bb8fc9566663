//! From a server's name to a connection that is ready for HTTP: resolve,
//! connect, TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

use super::addresses::Addresses;
use super::race::Race;
use super::tls::{Scratch, TlsStream};
use super::{Server, UpstreamError};

/// A connection to the server, plain (loopback only) or TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens a connection. Addresses are tried in the resolver's order, those last that
/// failed lately; when one does not answer soon, the next is tried beside it. The first
/// that accepts is taken, or, where TLS fails with it, the next one that accepts.
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
    let found = addresses.get(look_up).await.map_err(unresolved)?;
    let mut race = Race::new(addresses, &found, TcpStream::connect);
    let mut failure = None;
    loop {
        match race.next_to_accept().await {
            Ok((stream, attempt)) => {
                match secure(server, Arc::clone(&tls), stream, scratch).await {
                    Ok(stream) => {
                        attempt.succeeds();
                        return Ok(stream);
                    }
                    // Others may be well: one of several machines has the wrong certificate,
                    // or is about to go.
                    Err(error) => {
                        attempt.fails();
                        failure = Some(error);
                    }
                }
            }
            Err(error) if is_no_socket_left(&error) => return Err(UpstreamError::NoSocket(error)),
            Err(error) => {
                addresses.forget();
                return Err(failure.unwrap_or(UpstreamError::Connect(error)));
            }
        }
    }
}

/// Descriptors have run out (`EMFILE`, `ENFILE`) or the system's buffers
/// (`ENOBUFS`, `ENOMEM`): nothing that the server, or a look at another address,
/// could help. The numbers are those of Linux.
pub(super) fn is_no_socket_left(error: &io::Error) -> bool {
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
    use std::future::ready;
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::egress::{self, Egress};

    /// The first byte that a connection brings, which is closed then.
    async fn first_byte(listener: &TcpListener) -> u8 {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn where_tls_fails_with_one_address_the_next_is_tried() {
        const HANDSHAKE: u8 = 22;
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        let found = [one.local_addr().unwrap(), other.local_addr().unwrap()];
        let addresses = Addresses::default();
        addresses.get(|| ready(Ok(found))).await.unwrap();
        let server = Server::parse("https://dqe.example").unwrap();
        let tls = Egress::build(&egress::Settings::default(), false).unwrap();
        let scratch = Scratch::default();
        let connecting = connect(&server, &addresses, tls.tls(), &scratch);
        let all = async { tokio::join!(connecting, first_byte(&one), first_byte(&other)) };
        let (failed, one, other) = timeout(Duration::from_secs(20), all).await.unwrap();
        assert!(matches!(failed, Err(UpstreamError::Tls(_))));
        assert_eq!([one, other], [HANDSHAKE; 2]);
        // The addresses may be another's by now.
        let elsewhere: SocketAddr = ([127, 0, 0, 1], 1).into();
        let found = addresses.get(|| ready(Ok([elsewhere]))).await;
        assert_eq!(found.unwrap()[..], [elsewhere]);
    }
}
