use std::future::poll_fn;

use http_body::Body;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::http1::testing::{block_on, connected};

async fn connection() -> (Rc<Wire>, TcpStream) {
    let (stream, caller) = connected().await;
    (Wire::new(stream), caller)
}

const MOST: usize = 100;

/// Takes a head off that ends with an empty line; `!` is none.
fn parse(input: &[u8]) -> Result<Option<(String, usize)>, char> {
    if input.starts_with(b"!") {
        return Err('!');
    }
    match input.windows(4).position(|end| end == b"\r\n\r\n") {
        Some(end) => {
            let head = String::from_utf8(input[..end].to_vec()).unwrap();
            Ok(Some((head, end + 4)))
        }
        None if input.len() > MOST => Err('>'),
        None => Ok(None),
    }
}

/// The next head, and how many times something of it was seen, and looked at.
async fn head_and_looks(wire: &Wire) -> (Result<Found<String>, char>, usize, usize) {
    let (begun, looks) = (Cell::new(0), Cell::new(0));
    // Smaller than the heads of these stories.
    let mut scratch = [0; 16];
    let found = poll_fn(|cx| {
        let begins = || begun.set(begun.get() + 1);
        wire.poll_head(cx, &mut scratch, MOST, begins, |input| {
            looks.set(looks.get() + 1);
            parse(input)
        })
    });
    let found = found.await;
    (found, begun.get(), looks.get())
}

/// The next head; `None` at the end.
async fn head(wire: &Wire) -> Result<Option<String>, char> {
    match head_and_looks(wire).await.0? {
        Found::Head(head) => Ok(Some(head)),
        Found::End => Ok(None),
    }
}

async fn frame(body: &mut Incoming) -> Option<Result<Bytes, BodyError>> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
    frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

/// All that is left of a body.
async fn rest(body: &mut Incoming) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    while let Some(piece) = frame(body).await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// One look, which waits for nothing.
async fn look(body: &mut Incoming) -> Poll<Option<Result<Bytes, BodyError>>> {
    poll_fn(|cx| {
        let frame = Pin::new(&mut *body).poll_frame(cx);
        Poll::Ready(frame.map_ok(|frame| frame.into_data().unwrap()))
    })
    .await
}

async fn drain(wire: &Wire) -> bool {
    poll_fn(|cx| Poll::Ready(wire.drain(cx))).await
}

/// Waits until what the caller sent can be read.
async fn arrives(wire: &Wire) {
    poll_fn(|cx| wire.poll_behind(cx)).await.unwrap();
}

async fn received(caller: &mut TcpStream, length: usize) -> String {
    let mut text = vec![0; length];
    caller.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn requests_are_taken_off_one_after_the_other_however_they_come() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller
            .write_all(b"first\r\n\r\nsecond, which is longer\r\n\r\nthi")
            .await
            .unwrap();
        assert_eq!(head(&wire).await, Ok(Some("first".to_owned())));
        assert_eq!(
            head(&wire).await,
            Ok(Some("second, which is longer".to_owned()))
        );
        assert!(wire.has_more());
        let third = async {
            let (found, _, looks) = head_and_looks(&wire).await;
            assert!(looks < 6, "{looks} looks at what cannot be whole");
            found
        };
        let send = async {
            for piece in b"rd, a byte at a time\r\n\r\n".chunks(1) {
                caller.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(third, send);
        let Ok(Found::Head(third)) = found else {
            panic!("{found:?}");
        };
        assert_eq!(third, "third, a byte at a time");
        assert!(!wire.has_more());
        drop(caller);
        assert_eq!(head(&wire).await, Ok(None));
    });
}

#[test]
fn a_connection_on_which_nothing_comes_has_not_begun_a_head() {
    block_on(async {
        let (wire, caller) = connection().await;
        drop(caller);
        let (found, begun, looks) = head_and_looks(&wire).await;
        assert!(matches!(found, Ok(Found::End)));
        assert_eq!((begun, looks), (0, 0));

        let (wire, mut caller) = connection().await;
        caller.write_all(b"half a he").await.unwrap();
        caller.shutdown().await.unwrap();
        let (found, begun, _) = head_and_looks(&wire).await;
        assert!(matches!(found, Ok(Found::End)));
        assert!(begun > 0);
    });
}

#[test]
fn what_is_no_head_and_what_has_no_end_is_refused() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller.write_all(b"!\r\n\r\n").await.unwrap();
        assert_eq!(head(&wire).await, Err('!'));

        for (length, refused) in [(MOST, false), (MOST + 1, true)] {
            let (wire, mut caller) = connection().await;
            let mut text = vec![b'x'; length];
            caller.write_all(&text).await.unwrap();
            if !refused {
                caller.write_all(b"\r\n\r\n").await.unwrap();
                text.truncate(length);
            }
            let expected = if refused {
                Err('>')
            } else {
                Ok(Some(String::from_utf8(text).unwrap()))
            };
            assert_eq!(head(&wire).await, expected);
        }
    });
}

#[test]
fn a_connection_at_rest_keeps_no_buffer_and_loses_no_byte() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller
            .write_all(b"a head of some length\r\n\r\nnext")
            .await
            .unwrap();
        head(&wire).await.unwrap();
        arrives_until(&wire, 4).await;
        wire.rest();
        assert!(wire.has_more());
        caller.write_all(b"\r\n\r\n").await.unwrap();
        assert_eq!(head(&wire).await, Ok(Some("next".to_owned())));
        wire.rest();
        assert_eq!(wire.input.borrow().capacity(), 0);
    });
}

/// Reads on until there is so much that belongs to no request yet.
async fn arrives_until(wire: &Wire, length: usize) {
    let mut scratch = [0; 4];
    poll_fn(|cx| {
        while wire.input.borrow().len() < length {
            let mut read = ReadBuf::new(&mut scratch);
            ready!(wire.poll_read(cx, &mut read)).unwrap();
            wire.input.borrow_mut().extend_from_slice(read.filled());
        }
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_body_ends_where_its_length_says_and_the_next_request_begins_there() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller.write_all(b"post\r\n\r\nhel").await.unwrap();
        head(&wire).await.unwrap();
        let mut body = wire.begin_body(Framing::Length(5), false);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream() && !wire.is_body_whole() && wire.has_reader());
        caller.write_all(b"loget\r\n\r\n").await.unwrap();
        assert_eq!(rest(&mut body).await.unwrap(), b"hello");
        assert!(body.is_end_stream() && wire.is_body_whole());
        assert_eq!(body.size_hint().exact(), Some(0));
        drop(body);
        assert!(!wire.has_reader());
        assert_eq!(head(&wire).await, Ok(Some("get".to_owned())));
    });
}

#[test]
fn chunks_are_taken_off_and_their_end_is_the_bodys() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller
            .write_all(b"post\r\n\r\n5\r\nhello\r\n3\r\n, a\r\n0\r\nX: 1\r\n\r\nget\r\n\r\n")
            .await
            .unwrap();
        head(&wire).await.unwrap();
        let mut body = wire.begin_body(Framing::Chunked, false);
        assert_eq!(body.size_hint().exact(), None);
        assert_eq!(rest(&mut body).await.unwrap(), b"hello, a");
        assert!(body.is_end_stream() && wire.is_body_whole());
        assert_eq!(head(&wire).await, Ok(Some("get".to_owned())));
    });
}

#[test]
fn a_request_without_a_body_has_no_reader_of_one() {
    block_on(async {
        let (wire, _caller) = connection().await;
        for framing in [Framing::None, Framing::Length(0)] {
            let mut body = wire.begin_body(framing, true);
            assert!(body.is_end_stream() && wire.is_body_whole() && !wire.has_reader());
            assert!(frame(&mut body).await.is_none());
            assert_eq!(wire.take_interim(), b"");
        }
    });
}

#[test]
fn a_body_that_breaks_off_is_never_whole() {
    block_on(async {
        for (framing, sent) in [
            (Framing::Length(5), &b"hel"[..]),
            (Framing::Chunked, b"3\r\nhel\r\n"),
            (Framing::Chunked, b"3\r\nhel\r\n0\r\n"),
        ] {
            let (wire, mut caller) = connection().await;
            caller.write_all(sent).await.unwrap();
            caller.shutdown().await.unwrap();
            let mut body = wire.begin_body(framing, false);
            assert_eq!(frame(&mut body).await.unwrap().unwrap(), "hel");
            // However often it is asked.
            for _ in 0..2 {
                let broken = frame(&mut body).await;
                assert!(matches!(broken, Some(Err(BodyError::BrokeOff))));
                assert!(!body.is_end_stream() && !wire.is_body_whole());
            }
            drop(body);
            assert!(!drain(&wire).await);
        }

        let (wire, mut caller) = connection().await;
        caller.write_all(b"5\r\nhelloX").await.unwrap();
        let mut body = wire.begin_body(Framing::Chunked, false);
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "hello");
        let broken = rest(&mut body).await;
        assert!(matches!(broken, Err(BodyError::Chunks)), "{broken:?}");
        assert!(!wire.is_body_whole());

        let (wire, caller) = connection().await;
        caller.set_zero_linger().unwrap();
        drop(caller);
        let mut body = wire.begin_body(Framing::Length(5), false);
        let broken = rest(&mut body).await;
        assert!(matches!(broken, Err(BodyError::Read(_))), "{broken:?}");
    });
}

#[test]
fn a_caller_that_waits_for_a_word_gets_it_when_its_body_is_wanted() {
    const TOLD: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    block_on(async {
        let (wire, mut caller) = connection().await;
        let mut body = wire.begin_body(Framing::Length(5), true);
        // As long as nobody asks for the body it hears other things.
        poll_fn(|cx| wire.poll_write(cx, b"so far")).await.unwrap();
        assert_eq!(received(&mut caller, 6).await, "so far");
        // It is told once.
        for _ in 0..2 {
            assert!(look(&mut body).await.is_pending());
        }
        assert_eq!(received(&mut caller, TOLD.len()).await, TOLD);
        caller.write_all(b"hello").await.unwrap();
        assert_eq!(rest(&mut body).await.unwrap(), b"hello");
        drop(body);
        assert_eq!(wire.take_interim(), b"");
        poll_fn(|cx| wire.poll_write(cx, b"final")).await.unwrap();
        assert_eq!(received(&mut caller, 5).await, "final");
    });
}

#[test]
fn nobody_is_told_to_go_on_who_has_or_who_is_not_listened_to() {
    block_on(async {
        // The body is here already.
        let (wire, mut caller) = connection().await;
        caller.write_all(b"post\r\n\r\nhello").await.unwrap();
        head(&wire).await.unwrap();
        arrives_until(&wire, 5).await;
        let mut body = wire.begin_body(Framing::Length(5), true);
        assert_eq!(rest(&mut body).await.unwrap(), b"hello");
        drop(body);

        // Nobody wants the body.
        let unread = wire.begin_body(Framing::Length(5), true);
        drop(unread);
        assert!(!drain(&wire).await);
        poll_fn(|cx| wire.poll_write(cx, b"final")).await.unwrap();
        assert_eq!(received(&mut caller, 5).await, "final");
    });
}

#[test]
fn only_a_body_that_is_sure_to_come_and_to_end_may_be_dropped() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        for (framing, expects, most, may_be) in [
            (Framing::None, false, 0, true),
            (Framing::Length(5), false, 5, true),
            (Framing::Length(5), false, 4, false),
            (Framing::Chunked, false, 0, true),
            (Framing::Length(5), true, 5, false),
            (Framing::Chunked, true, 5, false),
        ] {
            let _unread = wire.begin_body(framing, expects);
            assert_eq!(wire.may_be_dropped(most), may_be, "{framing:?} {expects}");
        }
        // Who has been told to send it sends it.
        let mut body = wire.begin_body(Framing::Length(5), true);
        assert!(look(&mut body).await.is_pending());
        assert!(wire.may_be_dropped(5));
        // It does not come any more.
        caller.shutdown().await.unwrap();
        arrives(&wire).await;
        assert_eq!(poll_fn(|cx| wire.poll_drop(cx)).await, 0);
        assert!(!wire.may_be_dropped(5));
    });
}

#[test]
fn what_comes_of_a_body_nobody_reads_is_dropped() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller
            .write_all(b"5\r\nhello\r\n0\r\n\r\nget\r\n\r\n")
            .await
            .unwrap();
        drop(wire.begin_body(Framing::Chunked, false));
        arrives(&wire).await;
        assert!(drain(&wire).await);
        assert_eq!(head(&wire).await, Ok(Some("get".to_owned())));

        // Not all of it is here: there is no waiting for it.
        caller.write_all(b"hel").await.unwrap();
        drop(wire.begin_body(Framing::Length(5), false));
        arrives(&wire).await;
        assert!(!drain(&wire).await);
        caller.write_all(b"lo").await.unwrap();
        arrives(&wire).await;
        assert!(drain(&wire).await);

        // Nor is so much dropped at once that others would have to wait.
        let large = vec![b'x'; 8 * ROOM];
        drop(wire.begin_body(Framing::Length(large.len() as u64), false));
        let left = || match wire.body.get() {
            Coding::Length(left) => usize::try_from(left).unwrap(),
            Coding::Whole | Coding::Chunked(_) | Coding::Broken => 0,
        };
        let send = async { caller.write_all(&large).await.unwrap() };
        let see = async {
            while !wire.is_body_whole() {
                let before = left();
                drain(&wire).await;
                assert!(before - left() <= 3 * ROOM);
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(send, see);
    });
}

/// Whoever kept the body of an answered request gets nothing of the next one.
#[test]
fn the_reader_of_an_old_request_gets_nothing_of_a_new_one() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        let mut old = wire.begin_body(Framing::Length(3), false);
        caller.write_all(b"oldnewer").await.unwrap();
        assert_eq!(rest(&mut old).await.unwrap(), b"old");
        let mut new = wire.begin_body(Framing::Length(5), false);
        let stale = frame(&mut old).await;
        assert!(matches!(stale, Some(Err(BodyError::BrokeOff))), "{stale:?}");
        assert!(!old.is_end_stream());
        assert_eq!(old.size_hint().exact(), None);
        drop(old);
        assert!(wire.has_reader(), "the new one is still there");
        caller.write_all(b"!").await.unwrap();
        assert_eq!(rest(&mut new).await.unwrap(), b"newer");
    });
}

#[test]
fn what_comes_behind_a_request_is_seen_and_not_taken() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        let nothing = poll_fn(|cx| Poll::Ready(wire.poll_behind(cx))).await;
        assert!(nothing.is_pending());
        caller.write_all(b"next\r\n\r\n").await.unwrap();
        assert!(poll_fn(|cx| wire.poll_behind(cx)).await.unwrap());
        assert_eq!(head(&wire).await, Ok(Some("next".to_owned())));
        // A caller may close its sending side, and still get an answer.
        caller.shutdown().await.unwrap();
        assert!(!poll_fn(|cx| wire.poll_behind(cx)).await.unwrap());
        poll_fn(|cx| wire.poll_write(cx, b"answer")).await.unwrap();
        wire.shut_down().unwrap();
        assert_eq!(received(&mut caller, 6).await, "answer");
        assert_eq!(caller.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_reset_is_no_orderly_end() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        wire.ends_with_a_reset();
        drop(wire);
        let end = caller.read(&mut [0]).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn debug_shows_nothing_that_was_read() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        caller.write_all(b"post\r\n\r\nsecret").await.unwrap();
        head(&wire).await.unwrap();
        arrives_until(&wire, 6).await;
        let body = wire.begin_body(Framing::Length(6), false);
        let shown = format!("{wire:?} {body:?}");
        assert!(
            shown.contains("Length(6)") && !shown.contains("secret"),
            "{shown}"
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Heads and bodies cut anywhere are taken apart where they were joined.
    #[test]
    fn messages_are_taken_apart_alike_in_whatever_pieces_they_come(
        messages in proptest::collection::vec(
            ("[a-z][a-z\r]{0,30}", proptest::collection::vec(any::<u8>(), 0..200), any::<bool>(), any::<bool>()),
            1..5,
        ),
        cuts in proptest::collection::vec(1_usize..60, 1..8),
    ) {
        let mut sent = Vec::new();
        for (head, body, is_chunked, _) in &messages {
            sent.extend_from_slice(head.as_bytes());
            sent.extend_from_slice(b"\r\n\r\n");
            if *is_chunked {
                for chunk in body.chunks(70) {
                    sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    sent.extend_from_slice(chunk);
                    sent.extend_from_slice(b"\r\n");
                }
                sent.extend_from_slice(b"0\r\n\r\n");
            } else {
                sent.extend_from_slice(body);
            }
        }
        block_on(async {
            let (wire, mut caller) = connection().await;
            let send = async {
                let (mut rest, mut cuts) = (&sent[..], cuts.iter().cycle());
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                    caller.write_all(piece).await.unwrap();
                    rest = after;
                    tokio::task::yield_now().await;
                }
                caller.shutdown().await.unwrap();
            };
            let receive = async {
                for (expected, body, is_chunked, is_read) in &messages {
                    assert_eq!(head(&wire).await, Ok(Some(expected.clone())));
                    let framing = if *is_chunked {
                        Framing::Chunked
                    } else {
                        Framing::Length(body.len() as u64)
                    };
                    let mut incoming = wire.begin_body(framing, false);
                    if *is_read {
                        assert_eq!(rest(&mut incoming).await.unwrap(), *body);
                    }
                    drop(incoming);
                    while !drain(&wire).await {
                        tokio::task::yield_now().await;
                    }
                    wire.rest();
                }
                assert_eq!(head(&wire).await, Ok(None));
            };
            tokio::join!(send, receive);
        });
    }
}

#[test]
fn a_body_that_comes_fast_is_read_in_larger_pieces_and_one_that_does_not_in_small_ones() {
    block_on(async {
        let (wire, mut caller) = connection().await;
        let sent: Vec<u8> = (0..=250).cycle().take(8 * MUCH_ROOM).collect();
        let mut body = wire.begin_body(Framing::Length(sent.len() as u64), false);
        let (mut received, mut longest) = (Vec::new(), 0);
        let reads = async {
            while received.len() < sent.len() {
                let piece = frame(&mut body).await.unwrap().unwrap();
                if received.is_empty() {
                    assert!(piece.len() <= ROOM, "nobody knows yet how it comes");
                }
                longest = longest.max(piece.len());
                received.extend_from_slice(&piece);
            }
        };
        let writes = async { caller.write_all(&sent).await.unwrap() };
        tokio::join!(writes, reads);
        assert!(received == sent, "it is not what was sent");
        assert!(longest > ROOM && longest <= MUCH_ROOM, "{longest}");

        // The next body is another matter.
        let mut body = wire.begin_body(Framing::Length(100), false);
        caller.write_all(&[b'x'; 40]).await.unwrap();
        arrives(&wire).await;
        assert_eq!(frame(&mut body).await.unwrap().unwrap().len(), 40);
        assert!(wire.input.borrow().capacity() <= ROOM);
    });
}
