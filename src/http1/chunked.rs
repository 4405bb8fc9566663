//! The chunked transfer coding, taken off (RFC 9112 §7.1).
//! Strict about what ends a line and what is one; extensions and trailers are dropped.

use bytes::{Bytes, BytesMut};

/// Longest chunk-size line and longest trailer section, in bytes.
const LONGEST_LINE: usize = 4096;
/// Most bytes of extensions and trailers in all chunks of a body together, however
/// long its data is.
const MOST_BESIDES: usize = 16 * 1024;

/// A reader of a body in chunks; what has come is not its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    at: At,
    /// Bytes of extensions that have been dropped.
    besides: usize,
}

/// Where in the coding the reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    /// Before a chunk-size line.
    Size,
    /// Within a chunk's data; how many bytes of it are left.
    Data(u64),
    /// Before the line end after a chunk's data.
    DataEnd,
    /// In the trailer section; how many bytes of it have been dropped.
    Trailers(usize),
    /// After the end.
    Done,
    /// After what is not as the RFC says.
    Broken,
}

/// What a look at the input brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Data of the body.
    Data(Bytes),
    /// More input is needed.
    NeedsMore,
    /// The body has ended.
    End,
}

/// The coding is not as the RFC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidChunk;

impl Chunked {
    /// Takes all that has come of the body off `input`, of however many chunks: a
    /// sender that writes a chunk for each letter is not followed in that.
    ///
    /// # Errors
    /// Those of [`Self::step`], behind what is good before them.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Step, InvalidChunk> {
        let first = match self.step(input)? {
            Step::Data(first) => first,
            other @ (Step::NeedsMore | Step::End) => return Ok(other),
        };
        let mut joined = BytesMut::new();
        while !self.is_done() {
            match self.step(input) {
                Ok(Step::Data(next)) => {
                    if joined.is_empty() {
                        joined.reserve(first.len() + next.len() + input.len());
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&next);
                }
                Ok(Step::NeedsMore | Step::End) => break,
                // It is told next, behind what was good.
                Err(InvalidChunk) => {
                    self.at = At::Broken;
                    break;
                }
            }
        }
        Ok(Step::Data(if joined.is_empty() {
            first
        } else {
            joined.freeze()
        }))
    }

    /// Whether the end of the body has been taken.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes the next piece off `input`.
    ///
    /// # Errors
    /// What is no chunk, a line of more than 4 KiB, or more than 16 KiB besides the
    /// data in a whole body. No later step makes sense of the rest.
    pub fn step(&mut self, input: &mut BytesMut) -> Result<Step, InvalidChunk> {
        loop {
            match self.at {
                At::Size => {
                    let Some(line) = line(input, LONGEST_LINE)? else {
                        return Ok(Step::NeedsMore);
                    };
                    let (size, besides) = size(&line)?;
                    self.besides += besides;
                    if self.besides > MOST_BESIDES {
                        return Err(InvalidChunk);
                    }
                    self.at = match size {
                        0 => At::Trailers(0),
                        size => At::Data(size),
                    };
                }
                At::Data(left) => {
                    if input.is_empty() {
                        return Ok(Step::NeedsMore);
                    }
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let data = input.split_to(here).freeze();
                    self.at = match left - here as u64 {
                        0 => At::DataEnd,
                        left => At::Data(left),
                    };
                    return Ok(Step::Data(data));
                }
                At::DataEnd => {
                    if input.len() < 2 {
                        return match input.first() {
                            None | Some(b'\r') => Ok(Step::NeedsMore),
                            Some(_) => Err(InvalidChunk),
                        };
                    }
                    if &input.split_to(2)[..] != b"\r\n" {
                        return Err(InvalidChunk);
                    }
                    self.at = At::Size;
                }
                At::Trailers(dropped) => {
                    let Some(line) = line(input, LONGEST_LINE - dropped.min(LONGEST_LINE))? else {
                        return Ok(Step::NeedsMore);
                    };
                    self.at = if line.is_empty() {
                        At::Done
                    } else if is_field(&line) {
                        At::Trailers(dropped + line.len() + 2)
                    } else {
                        // Where the empty line is missing this is the next message.
                        return Err(InvalidChunk);
                    };
                }
                At::Done => return Ok(Step::End),
                At::Broken => return Err(InvalidChunk),
            }
        }
    }
}

/// A line without its end, taken off; `None` while it is not complete.
fn line(input: &mut BytesMut, longest: usize) -> Result<Option<BytesMut>, InvalidChunk> {
    let Some(end) = input
        .iter()
        .take(longest + 2)
        .position(|byte| *byte == b'\n')
    else {
        // The carriage return of the longest line may have come without its line feed.
        return if input.len() > longest + 1 {
            Err(InvalidChunk)
        } else {
            Ok(None)
        };
    };
    let mut line = input.split_to(end + 1);
    // A bare line feed ends no line here: some readers take it for one and some do not.
    if end == 0 || line[end - 1] != b'\r' || line[..end - 1].contains(&b'\r') {
        return Err(InvalidChunk);
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// Whether a line is a field: a name (RFC 9110 §5.6.2), a colon, and a value.
fn is_field(line: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = line.iter().take_while(|byte| is_of_name(byte)).count();
    let is_of_value = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    name > 0 && line.get(name) == Some(&b':') && line[name..].iter().all(is_of_value)
}

/// `chunk-size [ chunk-ext ]`: hexadecimal digits, then nothing, or an
/// extension behind a semicolon. The size, and how many bytes there are besides.
fn size(line: &[u8]) -> Result<(u64, usize), InvalidChunk> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    // Only blanks: a form feed is no space of the grammar.
    let mut rest = line[digits..].iter();
    let next = rest.find(|byte| !matches!(byte, b' ' | b'\t'));
    if !(1..=15).contains(&digits) || !matches!(next, None | Some(b';')) {
        return Err(InvalidChunk);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| InvalidChunk)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| InvalidChunk)?;
    Ok((size, line.len() - digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Decoded = (Vec<u8>, Vec<u8>);

    type Look = fn(&mut Chunked, &mut BytesMut) -> Result<Step, InvalidChunk>;

    /// The decoded body and what is left of the input, fed in pieces of `piece` bytes.
    fn decode(coded: &[u8], piece: usize) -> Result<Option<Decoded>, InvalidChunk> {
        let decoded = decode_by(Chunked::step, coded, piece);
        assert_eq!(decode_by(Chunked::take, coded, piece), decoded, "at once");
        decoded
    }

    fn decode_by(look: Look, coded: &[u8], piece: usize) -> Result<Option<Decoded>, InvalidChunk> {
        let mut coding = Chunked::default();
        let mut input = BytesMut::new();
        let mut body = Vec::new();
        let mut pieces = coded.chunks(piece.max(1));
        loop {
            match look(&mut coding, &mut input)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::End => {
                    let rest = input
                        .iter()
                        .copied()
                        .chain(pieces.flatten().copied())
                        .collect();
                    return Ok(Some((body, rest)));
                }
                Step::NeedsMore => match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn a_body_is_decoded_whatever_the_pieces_it_comes_in() {
        let coded =
            b"5\r\nhello\r\n00A;name=\"v\"\r\n, world 10\r\n0\r\nX-Trailer: 1\r\n\r\nHTTP/1.1";
        for piece in 1..coded.len() {
            let (body, rest) = decode(coded, piece).unwrap().unwrap();
            assert_eq!(
                (&body[..], &rest[..]),
                (&b"hello, world 10"[..], &b"HTTP/1.1"[..]),
                "{piece}"
            );
        }
    }

    #[test]
    fn what_has_come_is_taken_at_once_and_what_is_wrong_behind_it_next() {
        for (coded, expected) in [
            ("1\r\na\r\n2\r\nbc\r\n", Ok(Step::NeedsMore)),
            ("3\r\nabc\r\n0\r\n\r\nHTTP/1.1", Ok(Step::End)),
            ("1\r\na\r\n2\r\nbc\r\n0\r\nX: 1\r\n\r\n", Ok(Step::End)),
            ("2\r\nab\r\n1\r\ncd\r\n0\r\n\r\n", Err(InvalidChunk)),
            ("3\r\nabc\r\n+1\r\nd\r\n0\r\n\r\n", Err(InvalidChunk)),
        ] {
            let mut coding = Chunked::default();
            let mut input = BytesMut::from(coded);
            let taken = coding.take(&mut input);
            assert_eq!(taken, Ok(Step::Data(Bytes::from("abc"))), "{coded:?}");
            assert_eq!(coding.is_done(), expected == Ok(Step::End), "{coded:?}");
            for _ in 0..2 {
                assert_eq!(coding.take(&mut input), expected, "{coded:?}");
            }
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for coded in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX0\r\n\r\n",
            b"5 x\r\nhello\r\n0\r\n\r\n",
            b"5\x0c\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5\r;x\r\nhello\r\n0\r\n\r\n",
            b"1234567890abcdef0\r\nhello\r\n",
            b"0\r\n\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
            b"0\r\nX : 1\r\n\r\n",
            b"0\r\n: 1\r\n\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\nX: \0\r\n\r\n",
        ] {
            assert_eq!(
                decode(coded, 64),
                Err(InvalidChunk),
                "{:?}",
                String::from_utf8_lossy(coded)
            );
        }
        let long = [b"5;".to_vec(), vec![b'x'; 5000]].concat();
        assert_eq!(decode(&long, 64), Err(InvalidChunk));
        let extended = [b"1;".to_vec(), vec![b'x'; 4000], b"\r\na\r\n".to_vec()].concat();
        assert_eq!(decode(&extended.repeat(4), 64), Ok(None));
        assert_eq!(decode(&extended.repeat(5), 64), Err(InvalidChunk));
        let trailers = [b"0\r\n".to_vec(), b"X: 1\r\n".repeat(1000)].concat();
        assert_eq!(decode(&trailers, 64), Err(InvalidChunk));
    }

    #[test]
    fn the_longest_line_is_read_alike_in_any_pieces() {
        for (length, fits) in [
            (LONGEST_LINE - 1, true),
            (LONGEST_LINE, true),
            (LONGEST_LINE + 1, false),
        ] {
            let line = [b"0;".to_vec(), vec![b'x'; length - 2]].concat();
            let coded = [&line[..], b"\r\n\r\n"].concat();
            for piece in [1, length + 1, coded.len()] {
                assert_eq!(decode(&coded, piece).is_ok(), fits, "{length} by {piece}");
            }
        }
    }

    #[test]
    fn a_body_that_breaks_off_never_ends() {
        for coded in [
            &b""[..],
            b"5",
            b"5\r\nhel",
            b"5\r\nhello",
            b"5\r\nhello\r\n",
            b"5\r\nhello\r\n0\r\n",
        ] {
            assert_eq!(decode(coded, 3), Ok(None));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_body_survives_the_coding(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            piece in 1usize..64,
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decode(&coded, piece), Ok(Some((chunks.concat(), Vec::new()))));
        }

        /// A damaged coding means the same however it arrives, and what is taken
        /// for a whole body has the one end that the coding has.
        #[test]
        fn a_damaged_coding_is_read_alike_in_any_pieces(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..4),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 0..3),
            piece in 1usize..16,
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            for (place, how, byte) in damage {
                let place = place.index(coded.len());
                match how {
                    0 => coded[place] = byte,
                    1 => coded.insert(place, byte),
                    _ => drop(coded.remove(place)),
                }
            }
            let at_once = decode(&coded, coded.len());
            prop_assert_eq!(&decode(&coded, piece), &at_once);
            if let Ok(Some((body, rest))) = at_once {
                let coding = &coded[..coded.len() - rest.len()];
                prop_assert!(coding.ends_with(b"\r\n"));
                prop_assert!(body.len() < coding.len());
                // Without its last byte it is no whole body any more.
                prop_assert_eq!(decode(&coding[..coding.len() - 1], piece), Ok(None));
            }
        }

        #[test]
        fn no_input_makes_it_panic(input in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
            let _ = decode(&input, piece);
        }
    }
}
