//! Makes control characters visible, so that no text of a caller or of a
//! server can start a new log line or steer the terminal that shows it.

use std::fmt::{self, Write};

/// A `fmt::Write` in front of another: control characters (C0, DEL, C1) and
/// the separators that some viewers take for a line's end come out as `\u{..}`.
pub(super) struct Escaped<W>(pub(super) W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            self.0.write_str(&rest[..at])?;
            let mut tail = rest[at..].chars();
            for found in tail.by_ref().take(1) {
                write!(self.0, "{}", found.escape_unicode())?;
            }
            rest = tail.as_str();
        }
        self.0.write_str(rest)
    }
}

fn is_unsafe(found: char) -> bool {
    found.is_control() || matches!(found, '\u{2028}' | '\u{2029}')
}

/// Appends `text` as [`Escaped`] shows it.
pub(super) fn push_shown(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        let mut shown = String::new();
        // A String takes it all.
        let _ = Escaped(&mut shown).write_str(text);
        out.extend_from_slice(shown.as_bytes());
    }
}

/// Appends `text` as what stands between the quotes of a JSON string, and with
/// the escapes of [`escape_json`].
pub(super) fn push_json_text(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_escaped(out, text);
    }
}

/// Whether no byte needs an escape. Beyond ASCII it is not looked into: such
/// texts are rare in a log.
fn is_plain(text: &[u8]) -> bool {
    // Without an early exit the compiler looks at sixteen bytes at a time.
    let mut found = [false; 16];
    let mut look_at = |piece: &[u8; 16]| {
        for (found, byte) in found.iter_mut().zip(piece) {
            *found |= !matches!(byte, b' '..=b'~') | matches!(byte, b'"' | b'\\');
        }
    };
    let (pieces, rest) = text.as_chunks::<16>();
    pieces.iter().for_each(&mut look_at);
    if !rest.is_empty() {
        let mut last = [b' '; 16];
        last[..rest.len()].copy_from_slice(rest);
        look_at(&last);
    }
    found == [false; 16]
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut written = Vec::new();
    // A string always serialises, and a Vec takes it all.
    let _ = serde_json::to_writer(&mut written, text);
    escape_json(&mut written, 0);
    let without_quotes = written.get(1..written.len().saturating_sub(1));
    out.extend_from_slice(without_quotes.unwrap_or_default());
}

/// Escapes, in the JSON that stands in `out` from `start` on, what JSON itself
/// lets through: DEL and C1 reach a terminal as they are, and 0x9B there
/// begins a command. They can stand in strings only, where an escape of six
/// characters says the same.
pub(super) fn escape_json(out: &mut Vec<u8>, start: usize) {
    // Without an early exit the compiler looks at many bytes at a time, and
    // nearly every line is clean.
    let suspects = |found, byte: &u8| found | u8::from(*byte == 0x7F) | u8::from(*byte == 0xC2);
    if out[start..].iter().fold(0, suspects) == 0 {
        return;
    }
    let json = out.split_off(start);
    let mut rest = json.as_slice();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0x7F | 0xC2)) {
        out.extend_from_slice(&rest[..at]);
        let (code, length) = match rest[at..] {
            [0x7F, ..] => (0x7F, 1),
            [0xC2, second @ 0x80..=0x9F, ..] => (second, 2),
            _ => {
                out.push(rest[at]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        const HEX: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(b"\\u00");
        out.push(HEX[usize::from(code >> 4)]);
        out.push(HEX[usize::from(code & 0xF)]);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_shows_control_characters_instead_of_obeying_them() {
        let mut out = String::new();
        write!(Escaped(&mut out), "a\nb\u{1b}[31m\u{9b}2J\u{2028}é").unwrap();
        assert_eq!(out, r"a\u{a}b\u{1b}[31m\u{9b}2J\u{2028}é");
    }

    #[test]
    fn json_keeps_its_meaning_and_loses_its_control_characters() {
        let value = "tab\t del\u{7f} csi\u{9b}2J é \u{a0} end";
        let mut out = serde_json::to_vec(value).unwrap();
        escape_json(&mut out, 0);
        assert_eq!(
            serde_json::from_slice::<String>(&out).unwrap(),
            value,
            "same value"
        );
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
