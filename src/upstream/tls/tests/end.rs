//! How a connection ends, well or not: what is told, what is noticed, and what
//! is never taken for an answer.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

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
