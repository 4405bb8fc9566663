//! The id of a request, by which its lines in the logs of both sides are found:
//! the caller's own where that is harmless, or one that is made.

use super::headers::REQUEST_ID;
use crate::http1::{FieldValue, Fields};

/// Longest id of a caller that is kept, in bytes.
const LONGEST: usize = 64;

/// Letters, digits and `-`, `_`, `.`: a legal field value, and harmless in a log.
/// Stands where it is, without a buffer, since each request has one.
pub(super) struct RequestId {
    text: [u8; LONGEST],
    length: usize,
}

impl RequestId {
    /// The caller's own, when it is short and harmless in a log.
    pub(super) fn given(fields: &Fields) -> Option<Self> {
        let harmless =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let id = fields.get(REQUEST_ID)?;
        let mut text = [0; LONGEST];
        text.get_mut(..id.len())?.copy_from_slice(id);
        let is_harmless = !id.is_empty() && id.iter().all(harmless);
        is_harmless.then_some(Self {
            text,
            length: id.len(),
        })
    }

    /// A new one: both numbers as hexadecimal digits.
    pub(super) fn made(prefix: u64, count: u64) -> Self {
        let mut text = [0; LONGEST];
        write_hex(&mut text[..16], prefix);
        write_hex(&mut text[16..32], count);
        Self { text, length: 32 }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl FieldValue for RequestId {
    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

fn write_hex(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_is_kept_when_it_is_short_and_harmless() {
        let longest = "x".repeat(LONGEST);
        for (given, is_kept) in [
            ("a", true),
            ("0b1f8a52-0001", true),
            ("A.b_c-9", true),
            (&longest, true),
            (&format!("{longest}x"), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("caf\u{e9}", false),
        ] {
            let fields: Fields = [(REQUEST_ID, given.as_bytes())].into_iter().collect();
            let kept = RequestId::given(&fields);
            let text = kept.as_ref().map(RequestId::as_str);
            assert_eq!(text, is_kept.then_some(given), "{given:?}");
        }
        assert!(RequestId::given(&Fields::default()).is_none());
    }

    #[test]
    fn one_that_is_made_is_both_numbers() {
        let id = RequestId::made(0x0123_4567_89ab_cdef, 0x2a);
        assert_eq!(id.as_str(), "0123456789abcdef000000000000002a");
        assert_eq!(id.as_bytes(), id.as_str().as_bytes());
    }
}
