//! HTTP as the sandbox speaks it, TLS included; pause, resume, end.

use std::sync::Arc;

use dqe_proxy::sandbox::{Sandbox, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, bearer, get, raw, started};

#[tokio::test]
async fn a_connection_serves_requests_one_after_the_other() {
    let sandbox = started().await;
    let request = "GET /TEL/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let last_one = "HEAD /TEL/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let reply = raw(
        sandbox.address(),
        format!("{request}{request}{last_one}").as_bytes(),
    )
    .await;
    assert_eq!(
        reply.text.matches("HTTP/1.1 401 Unauthorized\r\n").count(),
        3
    );
    assert!(
        reply.text.ends_with("\r\n\r\n"),
        "an answer to HEAD has no body: {}",
        reply.text
    );
    assert_eq!(
        (sandbox.counters().connections, sandbox.counters().requests),
        (1, 3)
    );
}

#[tokio::test]
async fn an_expectation_is_met_before_the_body_is_read() {
    let sandbox = started().await;
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream
        .write_all(b"POST /TEL/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await
        .unwrap();
    let mut interim = [0_u8; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 401"), "{rest}");
    assert_eq!(sandbox.counters().expectations, 1);
}

#[tokio::test]
async fn chunked_answers_and_closed_connections_are_switches() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_civility").await;
    sandbox.set_switch("chunked", "on").unwrap();
    let reply = get(&sandbox, "/LASTNAMESUGGEST/?Lastname=zz", &header).await;
    assert!(
        reply.has_header("transfer-encoding: chunked"),
        "{}",
        reply.text
    );
    assert_eq!(reply.body(), "7\r\n{\"sugge\r\n7\r\nst\":[]}\r\n0\r\n\r\n");
    sandbox.set_switch("keep-alive", "off").unwrap();
    let reply = raw(sandbox.address(), b"GET /TEL/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(reply.has_header("connection: close"), "{}", reply.text);
}

#[tokio::test]
async fn https_is_spoken_under_the_authority_handed_out() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let settings = Settings {
        https: true,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    assert!(sandbox.url().starts_with("https://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    let pem = sandbox.ca_pem().unwrap();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for name in ["localhost", "127.0.0.1", "::1", "dqe.sandbox"] {
        let stream = TcpStream::connect(sandbox.address()).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream
            .write_all(b"GET /TEL/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 401"), "{text}");
    }
}

#[tokio::test]
async fn a_pause_refuses_connections_and_closes_the_open_ones() {
    let sandbox = started().await;
    let mut open = TcpStream::connect(sandbox.address()).await.unwrap();
    open.write_all(b"GET /TEL/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0_u8; 12];
    open.read_exact(&mut first).await.unwrap();
    sandbox.pause_listening().await;
    let mut rest = Vec::new();
    // Closed in order or by a reset: either way it ends.
    let _ = timeout(PATIENCE, open.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(TcpStream::connect(sandbox.address()).await.is_err());
    sandbox.resume_listening().await.unwrap();
    assert_eq!(get(&sandbox, "/TEL/", "").await.status(), 401);
    let address = sandbox.address();
    sandbox.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(sandbox.resume_listening().await.is_err());
    assert_eq!(sandbox.journal().len(), 2);
}

#[tokio::test]
async fn dropping_the_last_handle_stops_it() {
    let sandbox = started().await;
    let address = sandbox.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    let other = sandbox.clone();
    drop(sandbox);
    assert_eq!(get(&other, "/TEL/", "").await.status(), 401);
    drop(other);
    // The end of an open connection tells that the sandbox has stopped.
    let ended = timeout(PATIENCE, open.read(&mut [0_u8; 1])).await.unwrap();
    assert!(!matches!(ended, Ok(read) if read > 0));
}

#[tokio::test]
async fn many_connections_from_other_threads_lose_no_request() {
    let sandbox = started().await;
    let header = bearer(&sandbox, "client_phone").await;
    let one = format!("GET /TEL/?Tel=0612345678 HTTP/1.1\r\nHost: a\r\n{header}\r\n");
    let end = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let requests = one.repeat(49) + end;
    let callers = (0..4).map(|_| {
        let (sandbox, requests) = (sandbox.clone(), requests.clone());
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let first = raw(sandbox.address(), requests.as_bytes());
                let second = raw(sandbox.address(), requests.as_bytes());
                let (first, second) = tokio::join!(first, second);
                // Orders are carried out from whatever runtime they are given.
                sandbox.resume_listening().await.unwrap();
                first.text + &second.text
            })
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        let text = caller.await.unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 98);
    }
    let counters = sandbox.counters();
    assert_eq!(
        (counters.requests, counters.violations(), counters.panics),
        (401, 0, 0)
    );
    let journal = sandbox.journal();
    assert!(
        journal
            .iter()
            .zip(1..)
            .all(|(entry, number)| entry.sequence == number)
    );
    assert!(journal.iter().all(|entry| entry.status.is_some()));
}
