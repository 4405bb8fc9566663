//! The stream against rustls's own server, over pipes in memory that hand bytes
//! on in whatever pieces a story wants.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::Waker;

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, Error, HandshakeKind, InvalidMessage, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use super::*;

/// The wire between the two, and what has happened on it.
#[derive(Default)]
struct Wire {
    to_client: VecDeque<u8>,
    to_server: Vec<u8>,
    /// The server's end is closed.
    ended: bool,
    /// What the socket says when `to_client` is empty.
    error: Option<io::ErrorKind>,
    /// How much a read brings at most, one after the other and again from the start;
    /// 0 is a read that finds nothing yet. Empty: as much as there is.
    pieces: Vec<usize>,
    /// The same for writes.
    portions: Vec<usize>,
    reads: usize,
    writes: usize,
}

#[derive(Clone, Default)]
struct Socket(Rc<RefCell<Wire>>);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

fn size(sizes: &[usize], turn: usize) -> usize {
    match sizes {
        [] => usize::MAX,
        sizes => sizes[turn % sizes.len()],
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

/// Who vouches for the server, and the server.
struct Identity {
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["dqe.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity {
        authority: authority.der().clone(),
        certificate: certificate.der().clone(),
        key,
    }
});

type Version = &'static SupportedProtocolVersion;

fn server_config(version: Version, more_certificates: usize) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(IDENTITY.key.serialize_der().into());
    let mut chain = vec![IDENTITY.certificate.clone()];
    chain.resize(1 + more_certificates, IDENTITY.authority.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

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

/// The other end.
struct Server {
    tls: ServerConnection,
    socket: Socket,
    received: Vec<u8>,
    failure: Option<Error>,
}

impl Server {
    fn new(config: Arc<ServerConfig>) -> Self {
        let mut tls = ServerConnection::new(config).unwrap();
        tls.set_buffer_limit(None);
        Self {
            tls,
            socket: Socket::default(),
            received: Vec::new(),
            failure: None,
        }
    }

    /// Takes what has come and sends what there is to send.
    fn exchange(&mut self) {
        let wire = &mut *self.socket.0.borrow_mut();
        let came = std::mem::take(&mut wire.to_server);
        let mut came = &came[..];
        while !came.is_empty() && self.failure.is_none() {
            self.tls.read_tls(&mut came).unwrap();
            self.failure = self.tls.process_new_packets().err();
            let mut plain = [0; 4096];
            while let Ok(length @ 1..) = self.tls.reader().read(&mut plain) {
                self.received.extend_from_slice(&plain[..length]);
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire.to_client).unwrap();
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
        self.exchange();
    }

    /// Ends the connection, after a `close_notify` or without one.
    fn close(&mut self, says_so: bool) {
        if says_so {
            self.tls.send_close_notify();
        }
        self.exchange();
        self.socket.0.borrow_mut().ended = true;
    }

    /// Waits for the client to have done with `future`.
    fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..1_000_000 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                self.exchange();
                return output;
            }
            self.exchange();
        }
        panic!("neither side gets any further");
    }

    fn connect_with(&mut self, config: Arc<ClientConfig>) -> io::Result<TlsStream<Socket>> {
        let name = ServerName::try_from("dqe.example").unwrap();
        let socket = self.socket.clone();
        self.drive(TlsStream::connect(config, name, socket, Scratch::default()))
    }

    fn connect(&mut self) -> TlsStream<Socket> {
        self.connect_with(client_config()).unwrap()
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_said_arrives_in_whatever_pieces_it_comes(
        version in a_version(),
        pieces in sizes(),
        portions in sizes(),
        rooms in prop::collection::vec(prop_oneof![1..9_usize, 1..50_000_usize], 0..6),
        question in 1..120_000_usize,
        answers in prop::collection::vec(1..120_000_usize, 1..4),
    ) {
        let mut server = Server::new(server_config(version, 0));
        {
            let wire = &mut *server.socket.0.borrow_mut();
            wire.pieces = pieces;
            wire.portions = portions;
        }
        let mut stream = server.connect();
        let question = text(question);
        server.drive(write_all(&mut stream, &question));
        prop_assert_eq!(&server.received, &question);
        let answer = text(answers.iter().sum());
        let mut rest = &answer[..];
        for length in answers {
            server.say(&rest[..length]);
            rest = &rest[length..];
        }
        let (came, end) = read_all(&mut stream, &rooms);
        prop_assert!(end.is_none());
        prop_assert!(came == answer);
        prop_assert!(keeps_nothing(&stream));
    }

    #[test]
    fn a_changed_byte_is_an_error_and_never_wrong_plaintext(
        version in a_version(),
        answer in 1..60_000_usize,
        place in any::<prop::sample::Index>(),
        flipped in 1..=255_u8,
        pieces in sizes(),
    ) {
        let (mut server, mut stream) = connected(version);
        let answer = text(answer);
        read_all(&mut stream, &[]);
        server.say(&answer);
        {
            let wire = &mut *server.socket.0.borrow_mut();
            let place = place.index(wire.to_client.len());
            wire.to_client[place] ^= flipped;
            wire.pieces = pieces;
        }
        server.close(true);
        let (came, end) = read_all(&mut stream, &[]);
        prop_assert!(answer.starts_with(&came));
        // The version in a record's header says nothing and is not looked at closely.
        prop_assert!(matches!(end, Some(Err(_))) || came == answer);
    }
}

#[test]
fn an_end_that_is_told_and_one_that_is_not() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut stream) = connected(version);
        server.say(b"the last");
        server.close(true);
        let (came, end) = read_all(&mut stream, &[]);
        assert_eq!(came, b"the last");
        assert!(matches!(end, Some(Ok(()))));
        // It stays so.
        assert!(matches!(read_all(&mut stream, &[]).1, Some(Ok(()))));

        let (mut server, mut stream) = connected(version);
        server.say(b"the last");
        server.close(false);
        for expected in [&b"the last"[..], b"", b""] {
            let (came, end) = read_all(&mut stream, &[]);
            assert_eq!(came, expected);
            let error = end.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}

#[test]
fn nothing_counts_behind_the_told_end() {
    let (mut server, mut stream) = connected(&TLS13);
    server.say(b"all");
    server.close(true);
    let more = b"no record at all";
    server.socket.0.borrow_mut().to_client.extend(more);
    let (came, end) = read_all(&mut stream, &[]);
    assert_eq!(came, b"all");
    assert!(matches!(end, Some(Ok(()))));
}

#[test]
fn a_damaged_record_comes_after_the_good_ones_and_the_server_is_told() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut stream) = connected(version);
        server.say(b"good");
        server.say(b"damaged");
        *server.socket.0.borrow_mut().to_client.back_mut().unwrap() ^= 1;
        assert_eq!(
            read(&mut stream, 100).map(Result::unwrap),
            Poll::Ready(b"good".to_vec())
        );
        server.exchange();
        assert_eq!(
            server.failure,
            Some(Error::AlertReceived(AlertDescription::BadRecordMac))
        );
        for _ in 0..2 {
            let (came, end) = read_all(&mut stream, &[]);
            assert!(came.is_empty());
            assert_eq!(*cause(&end.unwrap().unwrap_err()), Error::DecryptError);
        }
        let Poll::Ready(Err(error)) = write(&mut stream, b"more") else {
            panic!("it takes more");
        };
        assert_eq!(*cause(&error), Error::DecryptError);
    }
}

#[test]
fn a_server_nobody_vouches_for_is_refused_and_told() {
    for version in [&TLS12, &TLS13] {
        let mut server = Server::new(server_config(version, 0));
        let stranger = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "a stranger");
        let mut roots = RootCertStore::empty();
        roots
            .add(params.self_signed(&stranger).unwrap().der().clone())
            .unwrap();
        let error = server.connect_with(client_config_with(roots)).unwrap_err();
        assert_eq!(
            *cause(&error),
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        );
        assert_eq!(
            server.failure,
            Some(Error::AlertReceived(AlertDescription::UnknownCA))
        );
    }
}

#[test]
fn a_server_that_speaks_no_tls_or_leaves_is_an_error() {
    let mut server = Server::new(server_config(&TLS13, 0));
    let says = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    server.socket.0.borrow_mut().to_client.extend(says);
    let error = server.connect_with(client_config()).unwrap_err();
    assert_eq!(
        *cause(&error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType)
    );

    let mut server = Server::new(server_config(&TLS13, 0));
    server.socket.0.borrow_mut().ended = true;
    let error = server.connect_with(client_config()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_long_chain_of_certificates_is_joined_and_an_endless_one_is_not() {
    for version in [&TLS12, &TLS13] {
        let length = IDENTITY.authority.len() + 5;
        for pieces in [vec![], vec![1000]] {
            let mut server = Server::new(server_config(version, 60_000 / length));
            server.socket.0.borrow_mut().pieces = pieces;
            let mut stream = server.connect();
            server.say(b"here");
            assert_eq!(read_all(&mut stream, &[]).0, b"here");
            assert!(keeps_nothing(&stream));
        }
        let mut server = Server::new(server_config(version, 70_000 / length));
        let error = server.connect_with(client_config()).unwrap_err();
        assert_eq!(
            *cause(&error),
            Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge)
        );
    }
}

#[test]
fn records_that_never_make_a_message_are_kept_up_to_a_limit() {
    let mut server = Server::new(server_config(&TLS12, 0));
    // A message of 60 000 bytes that comes one byte in a record at a time.
    let mut records = vec![22, 3, 3, 0, 4, 2, 0, 0xea, 0x60];
    records.extend([22, 3, 3, 0, 1, 0].repeat(30_000));
    server.socket.0.borrow_mut().to_client.extend(records);
    let error = server.connect_with(client_config()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn tickets_alone_are_nothing_to_read_and_make_the_next_connection_cheap() {
    let config = server_config(&TLS13, 0);
    let client = client_config();
    let mut server = Server::new(Arc::clone(&config));
    let mut stream = server.connect_with(Arc::clone(&client)).unwrap();
    assert_eq!(
        stream.session.tls.handshake_kind(),
        Some(HandshakeKind::Full)
    );
    assert!(!server.socket.0.borrow().to_client.is_empty());
    assert!(read(&mut stream, 8192).is_pending());
    assert!(server.socket.0.borrow().to_client.is_empty());
    assert_eq!(stream.session.tls.tls13_tickets_received(), 2);
    assert!(keeps_nothing(&stream));

    let mut server = Server::new(config);
    let stream = server.connect_with(client).unwrap();
    let kind = stream.session.tls.handshake_kind();
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}

#[test]
fn an_alert_and_words_nobody_asked_for_are_something_to_read() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut stream) = connected(version);
        read_all(&mut stream, &[]);
        server.say(b"unasked");
        assert!(read(&mut stream, 8192).is_ready());
        // What the server cannot decrypt.
        let garbage = [23, 3, 3, 0, 32].iter().chain(&[7; 32]);
        server.socket.0.borrow_mut().to_server.extend(garbage);
        server.exchange();
        let Poll::Ready(Err(error)) = read(&mut stream, 8192) else {
            panic!("the connection is good");
        };
        assert_eq!(
            *cause(&error),
            Error::AlertReceived(AlertDescription::BadRecordMac)
        );
    }
}

#[test]
fn new_keys_are_nothing_to_read_and_answered_before_the_next_request() {
    let (mut server, mut stream) = connected(&TLS13);
    read_all(&mut stream, &[]);
    for round in 0..3 {
        server.tls.refresh_traffic_keys().unwrap();
        server.exchange();
        assert!(read(&mut stream, 8192).is_pending());
        server.say(b"an answer");
        assert_eq!(read_all(&mut stream, &[]).0, b"an answer");
        let before = server.socket.0.borrow().to_server.len();
        assert!(matches!(write(&mut stream, b"request"), Poll::Ready(Ok(7))));
        // The answer to the new keys is a record of its own.
        let records = server.socket.0.borrow().to_server[before..].to_vec();
        let first = 5 + usize::from(u16::from_be_bytes([records[3], records[4]]));
        assert!(first < records.len(), "only one record in round {round}");
        server.exchange();
        assert_eq!(server.failure, None);
        assert_eq!(server.received, b"request".repeat(round + 1));
    }
}

#[test]
fn a_small_request_is_one_write_and_its_answer_one_read() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut stream) = connected(version);
        read_all(&mut stream, &[]);
        for room in [8192, 1 << 18] {
            let (reads, writes) = {
                let wire = server.socket.0.borrow();
                (wire.reads, wire.writes)
            };
            server.drive(write_all(&mut stream, &text(600)));
            server.say(&text(300));
            assert_eq!(
                read(&mut stream, room).map(Result::unwrap),
                Poll::Ready(text(300))
            );
            let wire = server.socket.0.borrow();
            assert_eq!((wire.reads, wire.writes), (reads + 1, writes + 1));
        }
    }
}

#[test]
fn a_long_answer_is_read_as_far_as_there_is_room() {
    let (mut server, mut stream) = connected(&TLS13);
    let answer = text(1 << 20);
    server.say(&answer);
    let before = server.socket.0.borrow().reads;
    let (came, _) = read_all(&mut stream, &[256 * 1024]);
    assert!(came == answer);
    let reads = server.socket.0.borrow().reads - before;
    assert!(reads <= 12, "{reads} reads");

    server.say(&answer);
    for _ in 0..100 {
        assert!(read(&mut stream, 1).is_ready());
        let session = &stream.session;
        let left = session.plaintext.len() - session.taken + session.incoming.len();
        assert!(left <= 2 * RECORD, "{left} bytes are kept");
    }
}

#[test]
fn what_the_socket_does_not_take_is_bounded_and_nothing_is_lost() {
    let (mut server, mut stream) = connected(&TLS13);
    let long = text(200_000);
    server.socket.0.borrow_mut().portions = vec![0];
    let Poll::Ready(Ok(first)) = write(&mut stream, &long) else {
        panic!("the first piece is taken");
    };
    assert!(first <= MOST_TAKEN);
    assert!(write(&mut stream, &long[first..]).is_pending());
    // It is read all the same.
    server.say(b"meanwhile");
    assert_eq!(
        read(&mut stream, 100).map(Result::unwrap),
        Poll::Ready(b"meanwhile".to_vec())
    );
    server.socket.0.borrow_mut().portions = vec![10_000, 0];
    server.drive(write_all(&mut stream, &long[first..]));
    assert!(server.received == long);
    assert!(keeps_nothing(&stream));
}

#[test]
fn what_the_socket_says_comes_after_what_it_brought() {
    let (mut server, mut stream) = connected(&TLS13);
    read_all(&mut stream, &[]);
    server.say(&text(40_000));
    // The read that is full asks for more at once.
    server.socket.0.borrow_mut().error = Some(io::ErrorKind::ConnectionReset);
    server.socket.0.borrow_mut().ended = true;
    let (came, end) = read_all(&mut stream, &[30_000]);
    assert!(came == text(40_000));
    let error = end.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_shut_connection_says_so_and_still_reads() {
    for version in [&TLS12, &TLS13] {
        let (mut server, mut stream) = connected(version);
        let shut = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx));
        server.drive(shut).unwrap();
        let state = server.tls.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
        let Poll::Ready(Err(error)) = write(&mut stream, b"more") else {
            panic!("it takes more");
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        server.say(b"the answer");
        server.close(true);
        let (came, end) = read_all(&mut stream, &[]);
        assert_eq!(came, b"the answer");
        assert!(matches!(end, Some(Ok(()))));
    }
}

#[test]
fn debugging_shows_nothing_that_was_said() {
    let mut stream = connected(&TLS13).1;
    stream.session.plaintext = b"personal".to_vec();
    assert_eq!(
        format!("{stream:?}"),
        "TlsStream { io: Socket, peer_closed: false, .. }"
    );
}
