//! One answer on its way to the caller.

use std::fmt;
use std::io::{ErrorKind, IoSlice, Write};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};

use crate::http1::{Framing, Held, SpareBuffers, Wire};

/// Longest piece of a body that is copied behind the head or another piece,
/// which costs less than a second piece in a system call does.
const MOST_JOINED: usize = 8 * 1024;
/// As long as less than this waits to be written, what is here already of the body
/// goes out with it: a long answer does not begin with a short piece.
const MOST_TOGETHER: usize = 2 * MOST_JOINED;
/// What stands behind a chunk, what behind the last one, and both.
const END_OF_CHUNK: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const END_AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
/// Largest buffer that is kept for the next answer.
const LARGEST_KEPT: usize = 32 * 1024;

/// The caller's connection has failed, or its answer cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// What is still to be written of an answer.
pub(super) struct Sending {
    /// Goes first; `written` bytes of it are gone.
    output: Vec<u8>,
    written: usize,
    /// Goes behind that.
    piece: Bytes,
    /// The piece is what was left of a longer one that the caller did not take at once.
    held: Option<Held>,
    /// Goes behind the piece: what ends its chunk.
    tail: &'static [u8],
    framing: Framing,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More of the body is to come.
    Open,
    /// All of it is here.
    Ended,
    /// No more of it will come, and the caller is to see that it is not all.
    Broken,
}

impl Sending {
    /// `output` holds the head, which says that the body is delimited like this.
    pub(super) fn new(output: Vec<u8>, framing: Framing) -> Self {
        let is_empty = framing == Framing::None;
        Self {
            output,
            written: 0,
            piece: Bytes::new(),
            held: None,
            tail: b"",
            framing,
            state: if is_empty { State::Ended } else { State::Open },
        }
    }

    /// The buffer, for the next answer.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        let buffer = std::mem::take(&mut self.output);
        self.written = 0;
        if buffer.capacity() > LARGEST_KEPT {
            return Vec::new();
        }
        buffer
    }

    /// Everything there is has been written.
    pub(super) fn is_written(&self) -> bool {
        self.unwritten() == 0
    }

    /// How many bytes of what there is have not been written.
    pub(super) fn unwritten(&self) -> usize {
        self.output.len() - self.written + self.piece.len() + self.tail.len()
    }

    /// Whether the next piece of the body can be taken: when all is written, and
    /// as long as what is there is little, to go out with it.
    pub(super) fn wants_more(&self) -> bool {
        let may_join = self.written == 0
            && self.output.len() < MOST_TOGETHER
            && self.piece.is_empty()
            && self.tail.is_empty();
        self.state == State::Open && (may_join || self.is_written())
    }

    /// Takes a piece of the body.
    pub(super) fn add(&mut self, mut piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.is_written() {
            self.output.clear();
            self.written = 0;
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let length = piece.len() as u64;
                if length > *left {
                    // The head has said how long the body is.
                    piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.state = State::Broken;
                }
                *left = left.saturating_sub(length);
            }
            Framing::Chunked => {
                // Writing into a buffer that grows cannot fail.
                let _ = write!(self.output, "{:x}\r\n", piece.len());
                if piece.len() <= MOST_JOINED {
                    self.output.extend_from_slice(&piece);
                    self.output.extend_from_slice(END_OF_CHUNK);
                    return;
                }
                self.tail = END_OF_CHUNK;
            }
            Framing::None | Framing::Close => {}
        }
        if piece.len() <= MOST_JOINED && !self.output.is_empty() {
            self.output.extend_from_slice(&piece);
        } else {
            self.piece = piece;
            self.held = None;
        }
    }

    /// The body has ended.
    pub(super) fn end(&mut self) {
        if self.state != State::Open {
            return;
        }
        self.state = match self.framing {
            // Shorter than announced: the caller must not take it for whole.
            Framing::Length(left) if left > 0 => State::Broken,
            Framing::Chunked => {
                if self.tail.is_empty() {
                    if self.is_written() {
                        self.output.clear();
                        self.written = 0;
                    }
                    self.output.extend_from_slice(LAST_CHUNK);
                } else {
                    self.tail = END_AND_LAST_CHUNK;
                }
                State::Ended
            }
            Framing::None | Framing::Length(_) | Framing::Close => State::Ended,
        };
    }

    /// The body breaks off. The caller gets what there was, and sees that it is not all.
    pub(super) fn breaks_off(&mut self) {
        self.state = State::Broken;
    }

    /// Writes all there is. Buffers that were written from go to `spare`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        wire: &Wire,
        spare: &SpareBuffers,
    ) -> Poll<Result<(), Gone>> {
        while !self.is_written() {
            let rest = &self.output[self.written..];
            let polled = if self.piece.is_empty() && self.tail.is_empty() {
                wire.poll_write(cx, rest)
            } else if rest.is_empty() && self.tail.is_empty() {
                wire.poll_write(cx, &self.piece)
            } else {
                let pieces = [rest, &self.piece, self.tail].map(IoSlice::new);
                wire.poll_write_vectored(cx, &pieces)
            };
            let Poll::Ready(polled) = polled else {
                self.waits(spare);
                return Poll::Pending;
            };
            match polled {
                Ok(written) if written > 0 => self.advance(written, spare),
                Ok(_) | Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what the socket takes at this moment.
    pub(super) fn write_at_once(&mut self, wire: &Wire, spare: &SpareBuffers) -> Result<(), Gone> {
        while !self.is_written() {
            let parts = [&self.output[self.written..], &self.piece, self.tail];
            let first = parts.into_iter().find(|part| !part.is_empty());
            match wire.write_at_once(first.unwrap_or_default()) {
                Ok(written) if written > 0 => self.advance(written, spare),
                Err(full) if full.kind() == ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// So many bytes have been written.
    #[inline(always)]
    fn advance(&mut self, written: usize, spare: &SpareBuffers) {
        let of_output = written.min(self.output.len() - self.written);
        self.written += of_output;
        let of_piece = (written - of_output).min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail = &self.tail[written - of_output - of_piece..];
        if self.piece.is_empty() && of_piece > 0 {
            spare.put_piece(std::mem::take(&mut self.piece));
            self.held = None;
        }
    }

    /// The caller takes nothing more for now: what it is still to get does not hold a
    /// buffer that is larger than that.
    fn waits(&mut self, spare: &SpareBuffers) {
        if !self.piece.is_empty() && self.held.is_none() {
            let rest = Bytes::copy_from_slice(&self.piece);
            self.held = Some(spare.hold(rest.len()));
            spare.put_piece(std::mem::replace(&mut self.piece, rest));
        }
    }

    /// How the answer has ended, when all there is has been written.
    pub(super) fn end_reached(&self) -> Option<Result<(), Gone>> {
        match self.state {
            State::Open => None,
            State::Ended => Some(Ok(())),
            State::Broken => Some(Err(Gone)),
        }
    }
}

/// Without the bytes: they may be personal data.
impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("unwritten", &self.unwritten())
            .field("framing", &self.framing)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::rc::Rc;

    use bytes::BytesMut;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::http1::testing::{block_on, connected};
    use crate::http1::{Chunked, Spare, Step};

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

    /// This side of a connection that takes few bytes at once, and the caller's.
    async fn connection() -> (Rc<Wire>, TcpStream) {
        let (stream, caller) = connected().await;
        socket2::SockRef::from(&stream)
            .set_send_buffer_size(4096)
            .unwrap();
        (Wire::new(stream), caller)
    }

    /// How a body comes to its end.
    #[derive(Clone, Copy, Debug)]
    enum Ending {
        Ends,
        BreaksOff,
    }

    /// What a caller gets of a body in these pieces, and how it ends for this side.
    async fn deliver(
        framing: Framing,
        pieces: &[Bytes],
        ending: Ending,
    ) -> (Vec<u8>, Result<(), Gone>) {
        let (wire, mut caller) = connection().await;
        let mut received = Vec::new();
        let send = async {
            let mut sending = Sending::new(HEAD.to_vec(), framing);
            let spare = SpareBuffers::default();
            let mut pieces = pieces.iter();
            let sent = loop {
                if sending.wants_more() {
                    match (pieces.next(), ending) {
                        (Some(piece), _) => sending.add(piece.clone()),
                        (None, Ending::Ends) => sending.end(),
                        (None, Ending::BreaksOff) => sending.breaks_off(),
                    }
                    continue;
                }
                let written = poll_fn(|cx| sending.poll_write(cx, &wire, &spare)).await;
                assert_eq!(written, Ok(()));
                assert!(sending.is_written());
                if let Some(end) = sending.end_reached() {
                    break end;
                }
            };
            wire.shut_down().unwrap();
            sent
        };
        let (sent, _) = tokio::join!(send, async {
            caller.read_to_end(&mut received).await.unwrap()
        });
        (received, sent)
    }

    fn delivered(
        framing: Framing,
        pieces: &[&'static [u8]],
        ending: Ending,
    ) -> (String, Result<(), Gone>) {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Bytes::from_static(piece))
            .collect();
        let (received, sent) = block_on(deliver(framing, &pieces, ending));
        let body = received.strip_prefix(HEAD).unwrap().to_vec();
        (String::from_utf8(body).unwrap(), sent)
    }

    #[test]
    fn a_body_is_delimited_as_announced_and_what_is_not_whole_ends_the_connection() {
        use Ending::{BreaksOff, Ends};
        use Framing::{Chunked, Close, Length};
        for (framing, pieces, ending, body, end) in [
            (Framing::None, &[][..], Ends, "", Ok(())),
            (Length(5), &[&b"hello"[..]], Ends, "hello", Ok(())),
            (Length(5), &[b"he", b"", b"llo"], Ends, "hello", Ok(())),
            // Longer than announced: the rest would be taken for the next answer.
            (Length(5), &[b"hello, world"], Ends, "hello", Err(Gone)),
            (Length(5), &[b"hello", b"!"], Ends, "hello", Err(Gone)),
            (Length(5), &[b"hel"], Ends, "hel", Err(Gone)),
            (Length(5), &[], Ends, "", Err(Gone)),
            (Length(5), &[b"hel"], BreaksOff, "hel", Err(Gone)),
            (
                Chunked,
                &[b"hello", b", world 12345"],
                Ends,
                "5\r\nhello\r\nd\r\n, world 12345\r\n0\r\n\r\n",
                Ok(()),
            ),
            // An empty piece is not the last chunk.
            (
                Chunked,
                &[b"", b"a", b"", b"b"],
                Ends,
                "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
                Ok(()),
            ),
            (Chunked, &[], Ends, "0\r\n\r\n", Ok(())),
            (Chunked, &[b"a"], BreaksOff, "1\r\na\r\n", Err(Gone)),
            (Chunked, &[], BreaksOff, "", Err(Gone)),
            (Close, &[b"a", b"b"], Ends, "ab", Ok(())),
            (Close, &[b"a"], BreaksOff, "a", Err(Gone)),
        ] {
            assert_eq!(
                delivered(framing, pieces, ending),
                (body.to_owned(), end),
                "{framing:?} {pieces:?} {ending:?}"
            );
        }
    }

    #[test]
    fn short_pieces_join_the_head_and_long_ones_are_not_copied() {
        let mut sending = Sending::new(HEAD.to_vec(), Framing::Close);
        sending.add(Bytes::from_static(b"a"));
        assert!(sending.wants_more());
        sending.add(Bytes::from_static(b"b"));
        assert_eq!(sending.output, [HEAD, b"ab"].concat());
        let long = Bytes::from(vec![b'x'; MOST_JOINED + 1]);
        sending.add(long.clone());
        assert_eq!(sending.piece.as_ptr(), long.as_ptr());
        assert!(!sending.wants_more(), "there is no room for another one");
        assert!(!sending.is_written());

        // Little by little, there is enough to be written.
        let mut sending = Sending::new(HEAD.to_vec(), Framing::Chunked);
        let mut pieces = 0;
        while sending.wants_more() {
            sending.add(Bytes::from(vec![b'x'; 1000]));
            pieces += 1;
        }
        assert_eq!(pieces, 17);
    }

    #[test]
    fn a_body_that_waits_does_not_hold_back_what_there_is() {
        block_on(async {
            let (wire, mut caller) = connection().await;
            let mut sending = Sending::new(HEAD.to_vec(), Framing::Length(2));
            for piece in [&b""[..], b"a", b"b"] {
                sending.add(Bytes::from_static(piece));
                poll_fn(|cx| sending.poll_write(cx, &wire, &SpareBuffers::default()))
                    .await
                    .unwrap();
                let expected = if piece.is_empty() { HEAD } else { piece };
                let mut received = vec![0; expected.len()];
                caller.read_exact(&mut received).await.unwrap();
                assert_eq!(received, expected);
                assert_eq!(sending.end_reached(), None);
                assert!(sending.wants_more());
            }
            sending.end();
            assert_eq!(sending.end_reached(), Some(Ok(())));
        });
    }

    #[test]
    fn a_caller_that_has_gone_ends_it() {
        block_on(async {
            let (wire, caller) = connection().await;
            caller.set_zero_linger().unwrap();
            drop(caller);
            let mut sending = Sending::new(HEAD.to_vec(), Framing::Close);
            let sent = loop {
                sending.add(Bytes::from(vec![b'x'; 100_000]));
                if let Err(gone) =
                    poll_fn(|cx| sending.poll_write(cx, &wire, &SpareBuffers::default())).await
                {
                    break gone;
                }
            };
            assert_eq!(sent, Gone);
        });
    }

    #[test]
    fn what_a_caller_does_not_take_holds_no_more_memory_than_it_is_long() {
        for framing in [Framing::Close, Framing::Chunked, Framing::Length(1 << 40)] {
            stands_still(framing);
        }
    }

    const MOST_HELD: usize = 1024 * 1024;

    fn stands_still(framing: Framing) {
        block_on(async {
            let (wire, _caller) = connection().await;
            let spare = Spare::holding_at_most(MOST_HELD).buffers;
            let mut sending = Sending::new(HEAD.to_vec(), framing);
            let mut kept = 0;
            // As long as the caller's buffers have room, its answer is written from here.
            let rest = loop {
                let mut buffer = spare.take();
                let long = buffer.capacity();
                buffer.extend_from_slice(&vec![b'x'; long]);
                let address = buffer.as_ptr();
                sending.add(buffer.freeze());
                let polled = poll_fn(|cx| Poll::Ready(sending.poll_write(cx, &wire, &spare))).await;
                kept += usize::from(spare.take().as_ptr() == address);
                if polled.is_pending() {
                    break std::mem::take(&mut sending.piece);
                }
            };
            assert!(
                kept > 0,
                "a buffer that has been written from is not given back"
            );
            let length = rest.len();
            let own = rest.try_into_mut().expect("nobody else has a part of it");
            assert_eq!(own.capacity(), length);
            assert!(sending.output.capacity() <= LARGEST_KEPT, "{framing:?}");
            // With somebody else's it is too much, and without it is not.
            let _others = spare.hold(MOST_HELD - length);
            let short = spare.take().capacity();
            drop(sending);
            assert!(short < spare.take().capacity(), "{framing:?}");
        });
    }

    #[test]
    fn debug_shows_nothing_of_an_answer() {
        let mut sending = Sending::new(b"x-a: personal\r\n".to_vec(), Framing::Close);
        sending.add(Bytes::from(b"personal".repeat(MOST_JOINED)));
        let shown = format!("{sending:?}");
        assert!(!shown.contains("personal"), "{shown}");
    }

    #[test]
    fn a_buffer_that_has_grown_large_is_not_kept() {
        let kept = |capacity| {
            let buffer = Vec::with_capacity(capacity);
            Sending::new(buffer, Framing::None).take_buffer().capacity()
        };
        assert_eq!(kept(LARGEST_KEPT), LARGEST_KEPT);
        assert_eq!(kept(LARGEST_KEPT + 1), 0);
    }

    /// The body in the chunks, if it is whole.
    fn unchunked(coded: &[u8]) -> Option<Vec<u8>> {
        let (mut coding, mut body) = (Chunked::default(), Vec::new());
        let mut input = BytesMut::from(coded);
        loop {
            match coding.step(&mut input).unwrap() {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::End => return input.is_empty().then_some(body),
                Step::NeedsMore => return None,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

        /// Pieces of every size arrive in order and once, however few bytes the
        /// socket takes at a time.
        #[test]
        fn a_body_arrives_as_it_was_sent(
            lengths in proptest::collection::vec(
                prop_oneof![0_usize..20, 8000_usize..8400, 100_000_usize..400_000], 0..6,
            ),
            choice in 0..3,
        ) {
            let mut next = 0_u8;
            let pieces: Vec<Bytes> = lengths.iter().map(|length| {
                let fresh = || { next = next.wrapping_mul(5).wrapping_add(1); next };
                std::iter::repeat_with(fresh).take(*length).collect()
            }).collect();
            let body = pieces.concat();
            let framing = match choice {
                0 => Framing::Length(body.len() as u64),
                1 => Framing::Chunked,
                _ => Framing::Close,
            };
            let (received, sent) = block_on(deliver(framing, &pieces, Ending::Ends));
            prop_assert_eq!(sent, Ok(()));
            let received = received.strip_prefix(HEAD).unwrap();
            if framing == Framing::Chunked {
                prop_assert!(unchunked(received) == Some(body));
            } else {
                prop_assert!(received == body);
            }
        }
    }
}
