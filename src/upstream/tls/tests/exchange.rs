//! What is said arrives whole, in few reads and writes and with little kept.

use super::*;

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

    /// Records of the handshake, which are kept as long as one is incomplete, among
    /// those of answers, and requests that go out meanwhile.
    #[test]
    fn requests_go_out_whatever_has_come_in_part(
        version in a_version(),
        fragments in prop::option::of(32..2000_usize),
        pieces in sizes(),
        renews_keys: bool,
        turns in prop::collection::vec((1..300_usize, 0..9000_usize), 1..12),
    ) {
        let mut config = (*server_config(version, 0)).clone();
        config.max_fragment_size = fragments;
        let mut server = Server::new(Arc::new(config));
        server.socket.0.borrow_mut().pieces = pieces;
        let mut stream = server.connect();
        let (mut sent, mut said, mut came) = (Vec::new(), Vec::new(), Vec::new());
        for (question, answer) in turns {
            let answer = text(answer);
            server.say(&answer);
            said.extend(answer);
            if renews_keys && version == &TLS13 {
                server.tls.refresh_traffic_keys().unwrap();
                server.exchange();
            }
            if let Poll::Ready(read) = read(&mut stream, 4096) {
                came.extend(read.unwrap());
            }
            let question = text(question);
            server.drive(write_all(&mut stream, &question));
            sent.extend(question);
            prop_assert_eq!(&server.failure, &None);
        }
        let (rest, end) = read_all(&mut stream, &[]);
        came.extend(rest);
        prop_assert!(end.is_none());
        prop_assert!(came == said);
        prop_assert!(server.received == sent);
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
fn debugging_shows_nothing_that_was_said() {
    let mut stream = connected(&TLS13).1;
    stream.session.plaintext = b"personal".to_vec();
    assert_eq!(
        format!("{stream:?}"),
        "TlsStream { io: Socket, peer_closed: false, .. }"
    );
}
