//! How a connection begins, and with whom.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{CertificateError, HandshakeKind, InvalidMessage};

use super::*;

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
