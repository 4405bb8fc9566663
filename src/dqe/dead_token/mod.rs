//! Answers with status 200 that say, or may say, that the token is dead. Most
//! paths of DQE tell a bad or expired licence in an ordinary-looking body, each
//! family in its own way (articles 16735607984145, 16736062537361,
//! 16585105598865, 34661557015953, 34812059473553, 48343922187281,
//! 34822047136017).
//!
//! Pure: the beginning of a body in, a reading out; nothing is allocated. What
//! callers sent stands in answers too, so a signature counts only where DQE
//! writes it, never where an answer repeats what it was asked.

mod text;

use memchr::memchr3_iter;

use super::Scope;
use text::{Cursor, Piece, RanOut};

/// Most bytes of a body that are looked at.
pub const LOOKED_AT: usize = 512;

/// What a body says about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// More of the body is needed to tell.
    Unclear,
    /// Nothing against it.
    Honest,
    /// An empty result or none: the token may be dead, or nothing was found.
    Suspicious,
    /// The token was refused.
    Certain,
}

const KO: &[u8] = b"** LICENCE KO **";
const DOWN: &[u8] = b"Licence Down";
const UNAUTHORIZED: &[u8] = b"unauthorized_client";

/// ID Mobile's `error_id` of "invalid or expired token".
const MOBILE_DEAD: &[u8] = b"30";

/// Reads the beginning of a body, `is_whole` when there is no more of it. A
/// JSON document may stand in a call of a JSONP function, as DQE wraps it:
/// encoded once more as a string. `family` is the scope of the path.
#[must_use]
pub fn read(family: Scope, head: &[u8], is_whole: bool) -> Reading {
    let looked_at = &head[..head.len().min(LOOKED_AT)];
    let is_whole = is_whole && looked_at.len() == head.len();
    if is_honest_at_sight(family, looked_at, is_whole) {
        return Reading::Honest;
    }
    match document(family, Cursor::new(looked_at, is_whole)) {
        Ok(reading) => reading,
        // Nothing that follows is looked at.
        Err(RanOut) if is_whole || looked_at.len() == LOOKED_AT => Reading::Honest,
        Err(RanOut) => Reading::Unclear,
    }
}

/// Whether this is seen without taking the document apart, as of nearly every
/// answer: of most families its first member tells, of the others the absence
/// of anything like a refusal from the whole of it.
fn is_honest_at_sight(family: Scope, text: &[u8], is_whole: bool) -> bool {
    let Some(name) = first_name(text) else {
        return false;
    };
    match family {
        Scope::IdMobile => false,
        Scope::Phone | Scope::Email => is_whole && name != b"Latitude" && refuses_nothing(text),
        Scope::Address | Scope::IdCheck | Scope::General | Scope::B2b | Scope::Civility => {
            !matches!(
                name,
                b"IdError" | b"error" | b"status" | b"message" | b"details" | b"Latitude"
            )
        }
    }
}

/// The name of a document's first member that is neither an object nor an
/// array. `None` as well where it is written in an uncommon way, with spaces or
/// escapes, or is still to come.
fn first_name(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    while let [b'{', b'"', inner @ ..] = rest {
        let end = inner.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (name, after) = inner.split_at(end);
        match after {
            [b'"', b':', b'{', ..] => rest = &after[2..],
            [b'"', b':', b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z', ..] => return Some(name),
            _ => return None,
        }
    }
    None
}

/// Whether there is no refusal in `text`, wherever DQE may write one.
fn refuses_nothing(text: &[u8]) -> bool {
    // Letters that are rare in answers, one of them in each refusal.
    let is_in_refusal = |at: usize| {
        let (before, from) = text.split_at(at);
        match from.first() {
            Some(b'w') => before.ends_with(b"Licence Do"),
            Some(b'z') => before.ends_with(b"unauthori"),
            Some(_) | None => from.starts_with(b"** LICENCE"),
        }
    };
    !memchr3_iter(b'w', b'z', b'*', text).any(is_in_refusal)
}

fn document(family: Scope, mut text: Cursor<'_>) -> Result<Reading, RanOut> {
    text.unwrap_call()?;
    match text.skip_space()? {
        None => Ok(Reading::Suspicious),
        Some(b'{') => object(family, text),
        Some(b'"') => {
            text.next()?;
            Ok(certain_if(text.string()?.is_refusal()))
        }
        Some(_) => {
            let word = text.line()?;
            Ok(certain_if(word.is_refusal()))
        }
    }
}

fn certain_if(is_refusal: bool) -> Reading {
    if is_refusal {
        Reading::Certain
    } else {
        Reading::Honest
    }
}

/// Goes through the members of a document until one of them decides.
fn object(family: Scope, mut text: Cursor<'_>) -> Result<Reading, RanOut> {
    let mut walk = Walk {
        family,
        leaves: 0,
        is_at_zero: false,
    };
    let mut has_content = false;
    // The opening brace.
    text.next()?;
    loop {
        match text.skip_space()? {
            None if has_content => return Ok(Reading::Honest),
            None => return Ok(Reading::Suspicious),
            Some(b'"') => {
                has_content = true;
                text.next()?;
                let key = text.string()?;
                if text.skip_space()? != Some(b':') {
                    continue;
                }
                text.next()?;
                let value = match text.skip_space()? {
                    Some(b'{' | b'[') => continue,
                    Some(b'"') => {
                        text.next()?;
                        text.string()?
                    }
                    Some(_) => text.scalar()?,
                    None => return Ok(Reading::Honest),
                };
                if let Some(reading) = walk.leaf(&key, &value) {
                    return Ok(reading);
                }
                if walk.looks_for_words() && text.refuses_nothing() {
                    return Ok(Reading::Honest);
                }
            }
            Some(byte) => {
                has_content |= byte != b'}';
                text.next()?;
            }
        }
    }
}

/// What the members seen so far amount to.
struct Walk {
    family: Scope,
    leaves: usize,
    /// The first member was a latitude of nothing.
    is_at_zero: bool,
}

impl Walk {
    fn leaf(&mut self, key: &Piece<'_>, value: &Piece<'_>) -> Option<Reading> {
        self.leaves += 1;
        // Names of any other length mean nothing, and most have one.
        if !matches!(key.as_bytes().len(), 3 | 5..=11 | 15) {
            return self.other(value);
        }
        if self.family == Scope::IdMobile {
            return match key.as_bytes() {
                b"error_id" => Some(certain_if(value.is(MOBILE_DEAD))),
                b"status" if !value.is(b"error") => Some(Reading::Honest),
                _ => None,
            };
        }
        let speaks_of_errors = matches!(self.family, Scope::Phone | Scope::Email);
        match key.as_bytes() {
            b"IdError" => Some(certain_if(value.is_refusal())),
            b"error" => Some(certain_if(value.is(UNAUTHORIZED))),
            // A RESTful error, whose `error` is to come. `details` repeats what was sent.
            b"status" | b"message" | b"details" => None,
            b"Latitude" if self.leaves == 1 && value.is_zero() => {
                self.is_at_zero = true;
                None
            }
            b"Longitude" if self.is_at_zero && self.leaves == 2 && value.is_zero() => {
                Some(Reading::Suspicious)
            }
            // What the caller asked about.
            b"TelOrigine" | b"Tel" | b"InputNumber" | b"NumberFormatted" => {
                (!speaks_of_errors).then_some(Reading::Honest)
            }
            _ => self.other(value),
        }
    }

    /// Nothing but a refusal in words can decide any more.
    fn looks_for_words(&self) -> bool {
        !self.is_at_zero && self.family != Scope::IdMobile
    }

    /// A member whose name means nothing.
    fn other(&self, value: &Piece<'_>) -> Option<Reading> {
        match self.family {
            Scope::Phone if value.as_bytes().len() >= DOWN.len() && value.is(DOWN) => {
                Some(Reading::Certain)
            }
            Scope::Phone | Scope::Email | Scope::IdMobile => None,
            _ => Some(Reading::Honest),
        }
    }
}

#[cfg(test)]
mod tests;
