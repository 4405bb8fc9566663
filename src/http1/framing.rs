//! How a body is delimited, and what `Connection` says (RFC 9112 §6.3, §9.6).

/// How a body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// By its length in bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection ends; answers only.
    Close,
}

/// `Content-Length` as RFC 9110 §8.6 has it: digits, nothing else.
#[must_use]
pub fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// What a `Connection` field lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `close`.
    pub close: bool,
    /// `keep-alive`.
    pub keep_alive: bool,
    /// Something besides these two: names of fields.
    pub more: bool,
}

impl Options {
    /// Reads one field line.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let mut options = Self::default();
        // What nearly everybody says.
        if value.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = true;
            return options;
        }
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                options.keep_alive = true;
            } else {
                options.more = true;
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_fits() {
        for (text, expected) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("", None),
            ("+5", None),
            ("-5", None),
            ("5, 5", None),
            (" 5", None),
            ("0x5", None),
            ("5.0", None),
        ] {
            assert_eq!(length(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn connection_lists_options_and_names() {
        for (text, close, keep_alive, more) in [
            ("close", true, false, false),
            ("Keep-Alive", false, true, false),
            ("x , CLOSE", true, false, true),
            ("keep-alive, close", true, true, false),
            ("closed", false, false, true),
            // An empty element counts as a name, which no field has.
            ("", false, false, true),
        ] {
            let expected = Options {
                close,
                keep_alive,
                more,
            };
            assert_eq!(Options::of(text.as_bytes()), expected, "{text:?}");
        }
    }
}
