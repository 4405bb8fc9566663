//! The stream against rustls's own server, over pipes in memory that hand bytes
//! on in whatever pieces a story wants.

mod end;
mod exchange;
mod handshake;
mod server;
mod socket;

use std::task::Waker;

use proptest::prelude::*;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error, RootCertStore, ServerConfig};

use super::*;
use server::{IDENTITY, Server, Version, server_config};
use socket::{Socket, size};

fn client_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(IDENTITY.authority.clone()).unwrap();
    client_config_with(roots)
}

fn client_config_with(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A server and a connection to it.
fn connected(version: Version) -> (Server, TlsStream<Socket>) {
    let mut server = Server::new(server_config(version, 0));
    let stream = server.connect();
    (server, stream)
}

fn read(stream: &mut TlsStream<Socket>, room: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut bytes = vec![0; room];
    let mut out = ReadBuf::new(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    let polled = Pin::new(stream).poll_read(&mut cx, &mut out);
    polled.map_ok(|()| out.filled().to_vec())
}

/// Reads until nothing more comes, `rooms` bytes at a time in turn: what came, and
/// how it ended; `None` when there may be more one day.
fn read_all(stream: &mut TlsStream<Socket>, rooms: &[usize]) -> (Vec<u8>, Option<io::Result<()>>) {
    let mut all = Vec::new();
    let mut turn = 0;
    loop {
        match read(stream, size(rooms, turn).min(1 << 20)) {
            Poll::Ready(Ok(bytes)) if bytes.is_empty() => return (all, Some(Ok(()))),
            Poll::Ready(Ok(bytes)) => all.extend_from_slice(&bytes),
            Poll::Ready(Err(error)) => return (all, Some(Err(error))),
            Poll::Pending if stream.io.0.borrow().to_client.is_empty() => return (all, None),
            // A read that found nothing yet.
            Poll::Pending => {}
        }
        turn += 1;
    }
}

fn write(stream: &mut TlsStream<Socket>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_write(&mut cx, bytes)
}

async fn write_all(stream: &mut TlsStream<Socket>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await;
        bytes = &bytes[written.unwrap()..];
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx))
        .await
        .unwrap();
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at / 311) as u8).collect()
}

/// The error of rustls in it.
fn cause(error: &io::Error) -> &Error {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    error.get_ref().unwrap().downcast_ref().unwrap()
}

fn keeps_nothing(stream: &TlsStream<Socket>) -> bool {
    let session = &stream.session;
    let kept = [&session.incoming, &session.plaintext, &session.outgoing];
    kept.iter().all(|bytes| bytes.capacity() == 0)
}

fn a_version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(&TLS12), Just(&TLS13)]
}

/// Sizes of which not all are 0.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![0..8_usize, 0..3000_usize, 0..40_000_usize];
    prop::collection::vec(size, 0..6).prop_filter("it goes on", |sizes| {
        sizes.is_empty() || sizes.iter().any(|size| *size > 0)
    })
}
