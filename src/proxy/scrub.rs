//! Masks the credential in what DQE answers, since DQE repeats it: in the
//! `details` of RESTful errors, and wherever a server writes the target it was
//! asked for. Pure: bytes in, bytes of the same number out, so that every
//! framing holds.
//!
//! The token in use is looked for in every spelling an answer may give it:
//! percent-encoded, once or twice, and JSON-escaped, once or more. Its longest
//! run of letters and digits is written alike in all of them, so that run is
//! searched, and the rest is compared around it. The client secret is not looked
//! for: it goes to the token endpoint alone.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::spelling::{LONGEST_SPELLING, Spelled, spelled, spelled_before};
use crate::http1::Fields;

/// From this length on the run alone is proof: a token cut short, or spelled
/// in yet another way, is masked as far as it is known.
const PROOF: usize = 12;

/// Shorter secrets are not looked for: they would be found in honest answers.
const SHORTEST: usize = 6;

/// One secret, ready to be looked for.
#[derive(Clone)]
pub(super) struct Secret {
    value: Bytes,
    /// Its longest run of letters and digits.
    run: Range<usize>,
    /// Looks for that.
    finder: Finder<'static>,
}

/// What an answer is searched for: the token, and the licence where it may stand.
pub(super) type Secrets = [Option<Rc<Secret>>; 2];

impl Secret {
    /// `None` when it is too short to be told from other text.
    pub(super) fn new(value: &[u8]) -> Option<Self> {
        let run = longest_run(value);
        (value.len() >= SHORTEST && !run.is_empty()).then(|| Self {
            value: Bytes::copy_from_slice(value),
            finder: Finder::new(&value[run.clone()]).into_owned(),
            run,
        })
    }

    /// Whether `text` has the run, without which the secret stands nowhere.
    fn may_be_in(&self, text: &[u8]) -> bool {
        self.finder.find(text).is_some()
    }

    /// Where the secret stands in `text`, at or after `from`.
    fn find(&self, text: &[u8], mut from: usize) -> Option<Found> {
        let length = self.run.len();
        while let Some(at) = text.get(from..).and_then(|rest| self.finder.find(rest)) {
            from += at;
            let (start, has_start) = self.start_before(text, from);
            let (end, rest) = self.end_after(text, from + length);
            let is_whole = has_start && matches!(rest, Spelled::Yes(_));
            let may_go_on = matches!(rest, Spelled::RanOut);
            if length >= PROOF || is_whole || (has_start && may_go_on) {
                return Some(Found {
                    range: start..end,
                    is_proof: length >= PROOF || is_whole,
                    may_go_on,
                });
            }
            from += 1;
        }
        None
    }

    /// Goes on from the end of the run; how it ended.
    fn end_after(&self, text: &[u8], mut at: usize) -> (usize, Spelled) {
        for byte in &self.value[self.run.end..] {
            match spelled(*byte, &text[at..]) {
                Spelled::Yes(length) => at += length,
                stopped @ (Spelled::No | Spelled::RanOut) => return (at, stopped),
            }
        }
        (at, Spelled::Yes(0))
    }

    /// Goes back from the start of the run; whether it came to the secret's start.
    fn start_before(&self, text: &[u8], mut at: usize) -> (usize, bool) {
        for byte in self.value[..self.run.start].iter().rev() {
            match spelled_before(*byte, &text[..at]) {
                Some(length) => at -= length,
                None => return (at, false),
            }
        }
        (at, true)
    }

    /// Where at the end of `text`, and not before `from`, the secret may begin;
    /// the end when it does not.
    fn begins_at(&self, text: &[u8], from: usize) -> usize {
        let longest = self.value.len() * LONGEST_SPELLING;
        let first = self.value[0];
        for start in text.len().saturating_sub(longest).max(from)..text.len() {
            if text[start] != first && !matches!(text[start], b'%' | b'\\') {
                continue;
            }
            let mut at = start;
            for byte in &self.value {
                match spelled(*byte, &text[at..]) {
                    Spelled::Yes(length) => at += length,
                    Spelled::No => break,
                    Spelled::RanOut => return start,
                }
            }
        }
        self.run_begins_at(text, from)
    }

    /// The same for the run where that alone is proof, whatever stands before it.
    fn run_begins_at(&self, text: &[u8], from: usize) -> usize {
        let run = &self.value[self.run.clone()];
        if run.len() < PROOF {
            return text.len();
        }
        let first = text.len().saturating_sub(run.len() - 1).max(from);
        let may_be_run = |at: &usize| text[*at] == run[0] && run.starts_with(&text[*at..]);
        match (first..text.len()).find(may_be_run) {
            Some(at) => self.start_before(text, at).0.max(from),
            None => text.len(),
        }
    }
}

/// The secret, or what is there of it.
struct Found {
    range: Range<usize>,
    /// It is the secret beyond doubt.
    is_proof: bool,
    /// The text ends before the secret does.
    may_go_on: bool,
}

fn longest_run(value: &[u8]) -> Range<usize> {
    let mut longest = 0..0;
    let mut start = 0;
    for end in 0..=value.len() {
        if value.get(end).is_some_and(u8::is_ascii_alphanumeric) {
            continue;
        }
        if end - start > longest.len() {
            longest = start..end;
        }
        start = end + 1;
    }
    longest
}

/// `text` with every secret in it overwritten with asterisks, borrowed when
/// there is none, which is the common case; and from where on it may still be
/// a secret, when more is to come.
fn masked<'a>(
    secrets: &[Option<Rc<Secret>>],
    text: &'a [u8],
    is_last: bool,
) -> (Cow<'a, [u8]>, usize) {
    let mut text = Cow::Borrowed(text);
    let mut settled = text.len();
    for secret in secrets.iter().flatten() {
        let mut from = 0;
        while let Some(found) = secret.find(&text, from) {
            if found.may_go_on && !is_last {
                settled = settled.min(found.range.start);
                from = text.len();
                break;
            }
            from = found.range.end;
            if found.is_proof {
                text.to_mut()[found.range].fill(b'*');
            }
        }
        if !is_last {
            settled = settled.min(secret.begins_at(&text, from));
        }
    }
    (text, settled)
}

/// Masks secrets in a body that comes in pieces, wherever the borders are.
pub(super) struct Scrubber {
    secrets: Secrets,
    /// The end of the last piece, when it may be the beginning of a secret.
    held: Bytes,
}

impl Scrubber {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            held: Bytes::new(),
        }
    }

    /// Masks secrets in the fields of an answer.
    pub(super) fn mask_fields(&self, fields: &mut Fields) {
        let mut secrets = self.secrets.iter().flatten();
        if !secrets.any(|secret| secret.may_be_in(fields.text())) {
            return;
        }
        fields.overwrite_values(|value| {
            if let (Cow::Owned(text), _) = masked(&self.secrets, value, true) {
                // As long as it was, and asterisks are legal.
                value.copy_from_slice(&text);
            }
        });
    }

    /// The next piece, without what may be the beginning of a secret unless it
    /// `is_last`; empty when nothing of it can be passed on yet.
    pub(super) fn pass(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        let piece = if self.held.is_empty() {
            piece
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + piece.len());
            joined.extend_from_slice(&std::mem::take(&mut self.held));
            joined.extend_from_slice(&piece);
            joined.freeze()
        };
        let (text, settled) = masked(&self.secrets, &piece, is_last);
        let mut piece = match text {
            Cow::Borrowed(_) => piece,
            Cow::Owned(text) => Bytes::from(text),
        };
        if settled < piece.len() {
            self.held = piece.split_off(settled);
        }
        piece
    }

    /// What was held back, at the end of the body.
    pub(super) fn rest(&mut self) -> Bytes {
        self.pass(Bytes::new(), true)
    }

    /// How many bytes are held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "TKqbz0c1d2e3f4g5h6i7j8k9l0m1n2o3p4q5r6s7t8u9v0";
    const AWKWARD: &str = "TK+/=*~%aB+/c0d1e2f3g4h5/i6j7";

    fn secrets(token: &str) -> Secrets {
        [Some(Rc::new(Secret::new(token.as_bytes()).unwrap())), None]
    }

    fn mask(token: &str, text: &str) -> String {
        let (text, _) = masked(&secrets(token), text.as_bytes(), true);
        String::from_utf8(text.into_owned()).unwrap()
    }

    fn percent_encoded(text: &str) -> String {
        let encode = |byte: u8| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        text.bytes().map(encode).collect()
    }

    fn spellings(token: &str) -> Vec<String> {
        let once = percent_encoded(token);
        let slashed = token.replace('/', "\\/");
        let unicode: String = token
            .chars()
            .map(|letter| match letter {
                letter if letter.is_ascii_alphanumeric() => letter.to_string(),
                letter => format!("\\u{:04x}", letter as u32),
            })
            .collect();
        vec![
            token.to_owned(),
            once.to_lowercase().replace(&token.to_lowercase(), token),
            percent_encoded(&once),
            slashed.replace('\\', "\\\\"),
            unicode.replace('\\', "\\\\"),
            unicode,
            slashed,
            once,
        ]
    }

    #[test]
    fn every_spelling_is_masked_with_as_many_asterisks() {
        for token in [PLAIN, AWKWARD] {
            for spelling in spellings(token) {
                // Lower-casing the letters of an awkward token makes another token of it.
                if spelling.to_lowercase() == spelling {
                    continue;
                }
                let before = r#"{"status":401,"details":""#;
                let after = r#"","error":"unauthorized_client"}"#;
                let text = format!("{before}{spelling}{after}");
                let stars = "*".repeat(spelling.len());
                assert_eq!(
                    mask(token, &text),
                    format!("{before}{stars}{after}"),
                    "{spelling}"
                );
                let twice = format!("{spelling}{spelling}");
                assert_eq!(mask(token, &twice), "*".repeat(twice.len()));
            }
        }
    }

    #[test]
    fn the_document_stays_one() {
        let text = serde_json::json!({"details": AWKWARD, "path": format!("/x?{AWKWARD}")});
        for written in [text.to_string(), text.to_string().replace('/', "\\/")] {
            let masked = mask(AWKWARD, &written);
            assert!(
                !masked.contains("aB") && !masked.contains("i6j7"),
                "{masked}"
            );
            serde_json::from_str::<serde_json::Value>(&masked).unwrap();
        }
    }

    #[test]
    fn a_token_cut_short_is_masked_as_far_as_it_goes_and_nothing_else_is() {
        let cut = &PLAIN[..PLAIN.len() - 1];
        assert_eq!(mask(PLAIN, cut), cut, "the run is the token itself");
        assert_eq!(
            mask("TK-c0d1e2f3g4h5i6-x", "TK-c0d1e2f3g4h5i6-"),
            "*".repeat(18)
        );
        for text in ["", "TK", "c0d1e2", &PLAIN.to_lowercase(), "TK-aB-c"] {
            assert_eq!(mask(PLAIN, text), text);
            assert_eq!(mask("TK-aB-cd", text), text);
        }
        assert!(Secret::new(b"short").is_none());
        assert!(Secret::new(b"+/=*~%+/").is_none());
    }

    #[test]
    fn a_token_spelled_in_yet_another_way_is_masked_alike_wherever_the_border_is() {
        let text = format!("<p>{}</p>", AWKWARD.replacen("K+", "K&#43;", 1));
        let expected = mask(AWKWARD, &text);
        assert!(!expected.contains("c0d1e2f3g4h5"), "{expected}");
        for border in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(border);
            let mut scrubber = Scrubber::new(secrets(AWKWARD));
            let mut passed = scrubber.pass(Bytes::copy_from_slice(first), false).to_vec();
            passed.extend_from_slice(&scrubber.pass(Bytes::copy_from_slice(second), false));
            passed.extend_from_slice(&scrubber.rest());
            let passed = String::from_utf8(passed).unwrap();
            assert_eq!(passed.len(), text.len());
            assert!(!passed.contains("c0d1e2f3g4h5"), "{border}: {passed}");
        }
    }

    #[test]
    fn fields_are_masked_too() {
        let link = format!("</TEL/?Licence={}>", percent_encoded(AWKWARD));
        let mut fields = Fields::from_iter([("link", link.as_bytes()), ("x-other", &b"TK"[..])]);
        Scrubber::new(secrets(AWKWARD)).mask_fields(&mut fields);
        let link = String::from_utf8_lossy(fields.get("link").unwrap());
        assert!(
            link.starts_with("</TEL/?Licence=****") && link.ends_with("**>"),
            "{link}"
        );
        assert_eq!(fields.get("x-other"), Some(&b"TK"[..]));
    }

    /// Not a proof of speed but a guard: a search that looked at every byte, or
    /// copied, would be many times slower than reading the text is.
    #[test]
    fn an_ordinary_body_is_passed_on_without_a_copy() {
        let body = Bytes::from("{\"1\":{\"Localite\":\"PARIS\",\"Pays\":\"FRA\"}}".repeat(100));
        let mut scrubber = Scrubber::new(secrets(PLAIN));
        let passed = scrubber.pass(body.clone(), true);
        assert_eq!(passed.as_ptr(), body.as_ptr());
        let passed = scrubber.pass(body.clone(), false);
        assert_eq!((passed.as_ptr(), scrubber.held()), (body.as_ptr(), 0));
    }

    #[test]
    fn neither_token_nor_licence_passes_in_three_pieces() {
        let secret = |value: &str| Some(Rc::new(Secret::new(value.as_bytes()).unwrap()));
        let both: Secrets = [secret(AWKWARD), secret("LICENCE-0123456789ABCDEF")];
        let run = "c0d1e2f3g4h5";
        let code = "0123456789ABCDEF";
        for text in [
            format!(
                "<{}|LICENCE&#45;{code}>",
                AWKWARD.replacen("K+", "K&#43;", 1)
            ),
            format!("c0d1c0d1e2{AWKWARD}LICENCE-0123{code}LICENCE%252D{code}"),
            format!("{run}{run}{code}{code}"),
            format!(
                "%2{}%%2B/{run}\\\\\\u002f{run}\\",
                AWKWARD.replace('/', "\\\\/")
            ),
        ] {
            for one in 0..=text.len() {
                for other in one..=text.len() {
                    let text = text.as_bytes();
                    let mut scrubber = Scrubber::new(both.clone());
                    let mut passed = Vec::new();
                    for piece in [&text[..one], &text[one..other], &text[other..]] {
                        passed.extend_from_slice(
                            &scrubber.pass(Bytes::copy_from_slice(piece), false),
                        );
                    }
                    passed.extend_from_slice(&scrubber.rest());
                    assert_eq!(passed.len(), text.len());
                    let passed = String::from_utf8(passed).unwrap();
                    assert!(
                        !passed.contains(run) && !passed.contains(code),
                        "{one} {other}: {passed}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// What is expected follows from how the text was put together.
        #[test]
        fn no_border_between_pieces_lets_a_token_through(
            parts in proptest::collection::vec(
                (proptest::option::of(0_usize..8), "[ -!#-$&-)0-9;-JL-S\\[\\]a-z{}]{0,20}"),
                1..6,
            ),
            borders in proptest::collection::vec(0_usize..400, 0..12),
            is_awkward: bool,
        ) {
            let token = if is_awkward { AWKWARD } else { PLAIN };
            let (mut text, mut expected) = (String::new(), String::new());
            for (spelling, other) in parts {
                if let Some(which) = spelling {
                    let spelling = &spellings(token)[which];
                    if spelling.to_lowercase() != *spelling {
                        text += spelling;
                        expected += &"*".repeat(spelling.len());
                    }
                }
                text += &other;
                expected += &other;
            }
            let mut borders: Vec<usize> = borders.into_iter().map(|at| at % (text.len() + 1)).collect();
            borders.extend([0, text.len()]);
            borders.sort_unstable();
            let mut scrubber = Scrubber::new(secrets(token));
            let mut passed = Vec::new();
            for pair in borders.windows(2) {
                let piece = Bytes::copy_from_slice(&text.as_bytes()[pair[0]..pair[1]]);
                passed.extend_from_slice(&scrubber.pass(piece, false));
            }
            passed.extend_from_slice(&scrubber.rest());
            prop_assert_eq!(String::from_utf8(passed).unwrap(), expected);
        }
    }
}
