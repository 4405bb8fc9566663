//! How one byte of a secret may be spelled in an answer: as it is, percent-encoded
//! once or twice, or escaped as in JSON up to three times. Pure.

/// Bytes of the longest spelling of one byte: four backslashes and `u002b`.
pub(super) const LONGEST_SPELLING: usize = 9;

/// Whether a text begins with a spelling of some byte.
pub(super) enum Spelled {
    /// In this many bytes.
    Yes(usize),
    /// With something else.
    No,
    /// The text ends before it can be told.
    RanOut,
}

/// Whether `text` begins with some spelling of `byte`.
pub(super) fn spelled(byte: u8, text: &[u8]) -> Spelled {
    match text {
        [] => Spelled::RanOut,
        [b'%', b'2', b'5', high, low, ..] if is_hex_of(byte, *high, *low) => Spelled::Yes(5),
        // It may be encoded twice.
        [b'%', b'2', b'5'] | [b'%', b'2', b'5', _] => Spelled::RanOut,
        [b'%', high, low, ..] if is_hex_of(byte, *high, *low) => Spelled::Yes(3),
        [b'%'] | [b'%', _] if byte == b'%' => Spelled::RanOut,
        [first, ..] if *first == byte => Spelled::Yes(1),
        [b'%', ..] if text.len() < 5 => Spelled::RanOut,
        [b'\\', ..] => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            match &text[slashes..] {
                _ if slashes > 4 => Spelled::No,
                [b'u', b'0', b'0', high, low, ..] if is_hex_of(byte, *high, *low) => {
                    Spelled::Yes(slashes + 5)
                }
                [first, ..] if *first == byte => Spelled::Yes(slashes + 1),
                [] | [b'u', ..] if text.len() < LONGEST_SPELLING => Spelled::RanOut,
                _ => Spelled::No,
            }
        }
        _ => Spelled::No,
    }
}

/// The length of the spelling of `byte` that `text` ends with.
pub(super) fn spelled_before(byte: u8, text: &[u8]) -> Option<usize> {
    let slashes = |text: &[u8]| {
        let before = text.iter().rev().take_while(|byte| **byte == b'\\');
        before.count().min(4)
    };
    match text {
        [.., b'%', b'2', b'5', high, low] if is_hex_of(byte, *high, *low) => Some(5),
        [.., b'%', high, low] if is_hex_of(byte, *high, *low) => Some(3),
        [before @ .., b'u', b'0', b'0', high, low]
            if is_hex_of(byte, *high, *low) && slashes(before) > 0 =>
        {
            Some(5 + slashes(before))
        }
        // An escape that lost what it escapes would spoil the document.
        [before @ .., last] if *last == byte && !byte.is_ascii_alphanumeric() => {
            Some(1 + slashes(before))
        }
        [.., last] if *last == byte => Some(1),
        _ => None,
    }
}

fn is_hex_of(byte: u8, high: u8, low: u8) -> bool {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    let value = digit(high).zip(digit(low));
    value.is_some_and(|(high, low)| high * 16 + low == u32::from(byte))
}
