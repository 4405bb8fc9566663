//! Takes the text of an answer apart, byte by byte, whether it stands there as it
//! is or in a call of a JSONP function. What its names and values mean is not
//! known here, but for the words of a refusal.

use super::{DOWN, KO, UNAUTHORIZED, refuses_nothing};

/// The bytes at hand end before the document does.
pub(super) struct RanOut;

/// Longest name or value that means something, with room for spaces around it.
const LONGEST_PIECE: usize = 24;

/// A name or value: as it stands in the text or, where the text is escaped once
/// more, as much of it as means something.
pub(super) enum Piece<'a> {
    Plain(&'a [u8]),
    Unescaped {
        bytes: [u8; LONGEST_PIECE],
        length: usize,
    },
}

impl Piece<'_> {
    fn new() -> Self {
        Self::Unescaped {
            bytes: [0; LONGEST_PIECE],
            length: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Self::Unescaped { bytes, length } = self {
            if let Some(slot) = bytes.get_mut(*length) {
                *slot = byte;
            }
            *length += 1;
        }
    }

    /// Empty when it is longer than anything that means something.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Plain(text) if text.len() <= LONGEST_PIECE => text,
            Self::Plain(_) => b"",
            Self::Unescaped { bytes, length } => bytes.get(..*length).unwrap_or_default(),
        }
    }

    pub(super) fn is(&self, text: &[u8]) -> bool {
        self.as_bytes().trim_ascii() == text
    }

    pub(super) fn is_refusal(&self) -> bool {
        // Most values are shorter than the shortest of them.
        self.as_bytes().len() >= DOWN.len()
            && (self.is(KO) || self.is(DOWN) || self.is(UNAUTHORIZED))
    }

    pub(super) fn is_zero(&self) -> bool {
        let digits = self.as_bytes();
        digits.contains(&b'0') && digits.iter().all(|byte| matches!(byte, b'0' | b'.'))
    }

    /// Whether it is the beginning of a refusal, or all of one.
    fn may_be_refusal(&self) -> bool {
        let text = self.as_bytes().trim_ascii_end();
        !self.as_bytes().is_empty()
            && [KO, DOWN, UNAUTHORIZED]
                .iter()
                .any(|refusal| refusal.starts_with(text))
    }
}

/// The document's bytes, with the wrapping of JSONP taken off.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    is_whole: bool,
    /// The document stands in a string, which escapes its quotes.
    is_quoted: bool,
    is_called: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8], is_whole: bool) -> Self {
        Self {
            rest,
            is_whole,
            is_quoted: false,
            is_called: false,
        }
    }

    /// Takes off `name(` and the quote after it, where they are.
    pub(super) fn unwrap_call(&mut self) -> Result<(), RanOut> {
        let is_name = |byte: &&u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | b'[' | b']')
        };
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(b"/**/").unwrap_or(self.rest);
        let name = rest.iter().take_while(is_name).count();
        match rest.get(name) {
            Some(b'(') if name > 0 => {}
            Some(_) => return Ok(()),
            // Still a name, or a refusal in plain text.
            None if self.is_whole => return Ok(()),
            None => return Err(RanOut),
        }
        self.rest = rest[name + 1..].trim_ascii_start();
        self.is_called = true;
        match self.rest.first() {
            Some(b'"') => {
                self.is_quoted = true;
                self.rest = &self.rest[1..];
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(RanOut),
        }
    }

    /// The next byte of the document without taking it, and how many bytes of
    /// the text it is; `None` at the document's end.
    fn peek(&self) -> Result<Option<(u8, usize)>, RanOut> {
        if !self.is_called
            && let [byte, ..] = self.rest
        {
            return Ok(Some((*byte, 1)));
        }
        match self.rest {
            [] if self.is_whole => Ok(None),
            [] => Err(RanOut),
            [b'"', ..] if self.is_quoted => Ok(None),
            [b'\\', escaped, ..] if self.is_quoted => Ok(Some((*escaped, 2))),
            [b'\\'] if self.is_quoted && !self.is_whole => Err(RanOut),
            [b')', ..] if self.is_called && !self.is_quoted => Ok(None),
            [byte, ..] => Ok(Some((*byte, 1))),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<u8>, RanOut> {
        let Some((byte, length)) = self.peek()? else {
            return Ok(None);
        };
        self.rest = &self.rest[length..];
        Ok(Some(byte))
    }

    /// Whether what is left of a whole document, one that stands there as it is,
    /// has no refusal in it.
    pub(super) fn refuses_nothing(&self) -> bool {
        self.is_whole && !self.is_called && refuses_nothing(self.rest)
    }

    pub(super) fn skip_space(&mut self) -> Result<Option<u8>, RanOut> {
        if !self.is_called {
            // Most answers: bytes stand for themselves, and the text's end is the document's.
            while let [byte, rest @ ..] = self.rest {
                if !byte.is_ascii_whitespace() {
                    return Ok(Some(*byte));
                }
                self.rest = rest;
            }
        }
        while let Some((byte, length)) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.rest = &self.rest[length..];
        }
        Ok(None)
    }

    /// A string up to its closing quote, which is taken. Escapes are not
    /// resolved: nothing that means something has one.
    pub(super) fn string(&mut self) -> Result<Piece<'a>, RanOut> {
        if !self.is_called {
            return self.plain_string();
        }
        let mut piece = Piece::new();
        while let Some(byte) = self.next()? {
            match byte {
                b'"' => break,
                b'\\' => {
                    piece.push(byte);
                    self.next()?;
                }
                other => piece.push(other),
            }
        }
        Ok(piece)
    }

    /// The same where nothing but the document's own escapes stands in the text.
    fn plain_string(&mut self) -> Result<Piece<'a>, RanOut> {
        let text = self.rest;
        let mut end = 0;
        while let Some(rest) = text.get(end..) {
            let Some(found) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
                break;
            };
            end += found;
            if text[end] == b'"' {
                self.rest = &text[end + 1..];
                return Ok(Piece::Plain(&text[..end]));
            }
            end += 2;
        }
        self.rest = &[];
        if self.is_whole {
            Ok(Piece::Plain(text))
        } else {
            Err(RanOut)
        }
    }

    /// A number or word, up to what ends it.
    pub(super) fn scalar(&mut self) -> Result<Piece<'a>, RanOut> {
        if !self.is_called {
            let text = self.rest;
            let end = text.iter().position(|byte| ends_scalar(*byte));
            return match end {
                Some(end) => {
                    self.rest = &text[end..];
                    Ok(Piece::Plain(&text[..end]))
                }
                None if self.is_whole => {
                    self.rest = &[];
                    Ok(Piece::Plain(text))
                }
                None => Err(RanOut),
            };
        }
        let mut piece = Piece::new();
        while let Some((byte, length)) = self.peek()? {
            if ends_scalar(byte) {
                break;
            }
            piece.push(byte);
            self.rest = &self.rest[length..];
        }
        Ok(piece)
    }

    /// Plain text to its end, or as far as it may be a refusal.
    pub(super) fn line(&mut self) -> Result<Piece<'a>, RanOut> {
        let mut piece = Piece::new();
        while let Some(byte) = self.next()? {
            piece.push(byte);
            if !piece.may_be_refusal() {
                break;
            }
        }
        Ok(piece)
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()
}
