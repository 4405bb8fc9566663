//! The licence parameter of a query or a form: taken out, or set to a token,
//! without touching another byte. Pure; knows neither paths nor tokens.
//!
//! DQE's documents write `Licence` on the business paths and `licence` and
//! `token` on ID Mobile; callers write it in any case, repeat it, leave it
//! empty or out, and may percent-encode its name, which the server decodes.
//!
//! Parameters are what stands between two `&`: a `;` is part of a value, as
//! for every form decoder that follows the URL standard.

use std::borrow::Cow;

use bytes::BufMut;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The name every caller's own licence may have, whatever the path's is.
const CALLERS: &str = "licence";

/// What stands unencoded in a token as a parameter's value: letters and digits
/// and what no form decoder reads as something else.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A token as it stands in a parameter: percent-encoded, once for all the
/// requests it goes into. Not shown anywhere.
#[derive(Clone)]
pub struct Encoded(Box<[u8]>);

impl Encoded {
    /// The token without the scheme in front of it.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        let pieces = percent_encode(token, TOKEN);
        Self(pieces.flat_map(str::bytes).collect())
    }

    /// The same with a parameter of its own behind it: the licence code, for
    /// ID Mobile, which wants it beside the token.
    #[must_use]
    pub fn beside(self, licence: &[u8]) -> Self {
        let code = percent_encode(licence, TOKEN).flat_map(str::bytes);
        let parameter = b"&licence=".iter().copied().chain(code);
        Self(self.0.iter().copied().chain(parameter).collect())
    }
}

/// Whether `text`, a query without its `?` or a form, has a parameter that
/// carries a credential: `licence` or `name`, in any letter case.
#[must_use]
pub fn is_in(text: &[u8], name: &str) -> bool {
    may_hold(text, name) && parameters(text).any(|parameter| is_credential(parameter, name))
}

/// `text` without the parameters that carry a credential. Borrowed when there
/// is none, which is the common case; every other byte, the order and even
/// empty parameters (`a&&b`) stay as they are.
#[must_use]
pub fn without<'a>(text: &'a [u8], name: &str) -> Cow<'a, [u8]> {
    if !is_in(text, name) {
        return Cow::Borrowed(text);
    }
    let mut kept = Vec::with_capacity(text.len());
    let mut is_first = true;
    for parameter in parameters(text).filter(|parameter| !is_credential(parameter, name)) {
        separate(&mut kept, &mut is_first);
        kept.extend_from_slice(parameter);
    }
    Cow::Owned(kept)
}

/// Appends `text` to `out` with the parameter `name` set to `token`,
/// which is percent-encoded already: in the place of the first parameter that carries a
/// credential, the others going, or else at the end. The name is written as
/// given, since DQE takes a name in another letter case for a missing one.
/// Every other byte and the order stay as they are.
pub fn set(text: &[u8], name: &str, token: &Encoded, out: &mut impl BufMut) {
    if !may_hold(text, name) {
        return append(text, name, token, out);
    }
    let mut is_first = true;
    let mut is_set = false;
    if !text.is_empty() {
        for parameter in parameters(text) {
            if !is_credential(parameter, name) {
                separate(out, &mut is_first);
                out.put_slice(parameter);
            } else if !is_set {
                is_set = true;
                separate(out, &mut is_first);
                write(name, token, out);
            }
        }
    }
    if !is_set {
        separate(out, &mut is_first);
        write(name, token, out);
    }
}

/// Appends `text`, which has no parameter that carries a credential ([`is_in`]), to
/// `out`, and `name` set to `token` behind it. What [`set`] does then.
pub fn append(text: &[u8], name: &str, token: &Encoded, out: &mut impl BufMut) {
    out.put_slice(text);
    if !text.is_empty() {
        out.put_u8(b'&');
    }
    write(name, token, out);
}

/// Most bytes that [`set`] appends for these.
#[must_use]
pub fn room(text: &[u8], name: &str, token: &Encoded) -> usize {
    text.len() + "&=".len() + name.len() + token.0.len()
}

fn parameters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'&')
}

fn separate(out: &mut impl BufMut, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        out.put_u8(b'&');
    }
}

fn write(name: &str, token: &Encoded, out: &mut impl BufMut) {
    out.put_slice(name.as_bytes());
    out.put_u8(b'=');
    out.put_slice(&token.0);
}

/// Whether a parameter begins as a credential does, by its first letter; that
/// tells most texts apart. A name that is encoded may begin with any letter.
fn may_hold(text: &[u8], name: &str) -> bool {
    let Some(last) = text.last_chunk::<8>() else {
        return true;
    };
    let is_first_of = |name: &str, byte: &u8| {
        let first = name.as_bytes().first();
        first.is_some_and(|letter| letter.eq_ignore_ascii_case(byte))
    };
    let begins = |byte: &u8| *byte == b'%' || is_first_of(CALLERS, byte) || is_first_of(name, byte);
    let follows = |word: &[u8; 8], at: usize| {
        let mut found = ampersands(*word);
        while found != 0 {
            let end = at + found.trailing_zeros() as usize / 8;
            if text.get(end + 1).is_some_and(begins) {
                return true;
            }
            found &= found - 1;
        }
        false
    };
    let mut words = text.as_chunks::<8>().0.iter().zip((0..).step_by(8));
    begins(&text[0])
        || words.any(|(word, at)| follows(word, at))
        // What is left, and what stands before it once more.
        || follows(last, text.len() - last.len())
}

/// The highest bit of each byte that is `&`, the first byte being the lowest.
/// A `'` behind one may count as well.
fn ampersands(bytes: [u8; 8]) -> u64 {
    let differs = u64::from_le_bytes(bytes) ^ u64::from_le_bytes([b'&'; 8]);
    differs.wrapping_sub(u64::from_le_bytes([1; 8])) & !differs & u64::from_le_bytes([0x80; 8])
}

fn is_credential(parameter: &[u8], name: &str) -> bool {
    let written = match parameter.iter().position(|byte| *byte == b'=') {
        Some(end) => &parameter[..end],
        None => parameter,
    };
    is_named(written, CALLERS) || (!name.eq_ignore_ascii_case(CALLERS) && is_named(written, name))
}

/// Whether a name as it is written means `name`, in any letter case.
fn is_named(written: &[u8], name: &str) -> bool {
    if written.len() == name.len() {
        return written.eq_ignore_ascii_case(name.as_bytes());
    }
    written.len() > name.len()
        && written.contains(&b'%')
        && percent_decode(written)
            .map(|byte| byte.to_ascii_lowercase())
            .eq(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set_to(text: &[u8], name: &str, token: &[u8]) -> Vec<u8> {
        let token = Encoded::of(token);
        let mut out = Vec::new();
        set(text, name, &token, &mut out);
        assert!(out.len() <= room(text, name, &token));
        out
    }

    #[test]
    fn the_licence_alone_goes_or_is_set_in_its_place() {
        for (text, taken_out, set) in [
            ("", "", "Licence=T"),
            (
                "Tel=0612&Pays=FRA",
                "Tel=0612&Pays=FRA",
                "Tel=0612&Pays=FRA&Licence=T",
            ),
            ("Licence=X", "", "Licence=T"),
            ("Licence=X&Tel=06", "Tel=06", "Licence=T&Tel=06"),
            ("Tel=06&Licence=X", "Tel=06", "Tel=06&Licence=T"),
            (
                "Tel=06&licence=&Pays=FRA",
                "Tel=06&Pays=FRA",
                "Tel=06&Licence=T&Pays=FRA",
            ),
            (
                "Tel=06&LICENCE&Pays=FRA",
                "Tel=06&Pays=FRA",
                "Tel=06&Licence=T&Pays=FRA",
            ),
            ("Licence=a&x=1&liCENce=b", "x=1", "Licence=T&x=1"),
            ("L%69cence=X&x=1", "x=1", "Licence=T&x=1"),
            ("x=1&%4c%49%43%45%4E%43%45=X", "x=1", "x=1&Licence=T"),
            ("Licences=X", "Licences=X", "Licences=X&Licence=T"),
            ("MaLicence=X", "MaLicence=X", "MaLicence=X&Licence=T"),
            (
                "x=Licence&y=Licence=3",
                "x=Licence&y=Licence=3",
                "x=Licence&y=Licence=3&Licence=T",
            ),
            ("a&&b&Licence=1&", "a&&b&", "a&&b&Licence=T&"),
            ("a&", "a&", "a&&Licence=T"),
            ("&", "&", "&&Licence=T"),
            ("?Licence=1&Licence=2", "?Licence=1", "?Licence=1&Licence=T"),
            ("token=1&Licence=2", "token=1", "token=1&Licence=T"),
        ] {
            let text = text.as_bytes();
            assert_eq!(
                *without(text, "Licence"),
                *taken_out.as_bytes(),
                "{taken_out}"
            );
            assert_eq!(set_to(text, "Licence", b"T"), set.as_bytes(), "{set}");
        }
    }

    #[test]
    fn another_parameter_may_carry_the_credential_and_the_callers_licence_goes_all_the_same() {
        let text = b"licence=X&number=336&Token=old&t%6Fken=older";
        assert_eq!(*without(text, "token"), *b"number=336");
        assert_eq!(set_to(text, "token", b"T"), b"token=T&number=336");
    }

    #[test]
    fn a_credential_is_found_wherever_in_the_text_it_stands() {
        for before in 0..40 {
            for (name, written) in [("token", "token"), ("token", "Licence="), ("t", "t")] {
                let text = format!("{}&{written}", "x".repeat(before));
                assert!(is_in(text.as_bytes(), name), "{text}");
                let set = set_to(text.as_bytes(), name, b"T");
                let expected = format!("{}&{name}=T", "x".repeat(before));
                assert_eq!(set, expected.as_bytes(), "{text}");
            }
        }
    }

    #[test]
    fn the_licence_code_goes_beside_a_token_of_id_mobile() {
        let both = Encoded::of(b"T+").beside(b"CODE~");
        for (text, expected) in [
            ("", "token=T%2B&licence=CODE%7E"),
            (
                "licence=OLD&number=336&token=old",
                "token=T%2B&licence=CODE%7E&number=336",
            ),
            (
                "number=336&Token=&name=X",
                "number=336&token=T%2B&licence=CODE%7E&name=X",
            ),
        ] {
            let mut out = Vec::new();
            set(text.as_bytes(), "token", &both, &mut out);
            assert_eq!(out, expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_token_is_encoded_so_that_no_form_decoder_reads_another_value() {
        assert_eq!(
            set_to(b"", "Licence", b"TK+/=*~%&#a-b_c.d"),
            b"Licence=TK%2B%2F%3D%2A%7E%25%26%23a-b_c.d"
        );
    }

    /// Draws from a seed (SplitMix64), apart from everything under test.
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31)) as usize % limit
        }

        fn one<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
            from[self.below(from.len())]
        }

        /// A value of what callers send and what decoders stumble over.
        fn value(&mut self) -> Vec<u8> {
            const PIECES: &[&[u8]] = &[
                b"+",
                b"%2540",
                b"%7C",
                b"|",
                b"%E9",
                b"\xe9",
                b"\xc3\xa9",
                b" ",
                b"%20",
                b"=",
                b"Licence",
                b"Licence=",
                b"%26Licence=",
                b";Licence=x",
                b"%",
                b"%4",
                b"%zz",
                b"?",
                b"#",
                b"a",
                b"0612345678",
                b"'",
                b"\"",
                b"\\",
                b"%00",
                b"TOKEN",
                b"/",
                b"[]",
            ];
            (0..self.below(6))
                .flat_map(|_| self.one(PIECES).to_vec())
                .collect()
        }

        /// A parameter that carries no credential, whatever its value.
        fn other(&mut self) -> Vec<u8> {
            const NAMES: &[&str] = &[
                "Tel",
                "Email",
                "Adresse",
                "Pays",
                "callback",
                "_",
                "x",
                "Licences",
                "aLicence",
                "Licenc",
                "%20Licence",
                "Licence%00",
                "Li%63enc%65e",
                "Licence[]",
                "%4cicenc",
                "token",
                "licence%",
                "é",
            ];
            match self.below(8) {
                0 => Vec::new(),
                1 => self.one(NAMES).as_bytes().to_vec(),
                2 => [b"=".as_slice(), &self.value()].concat(),
                _ => [self.one(NAMES).as_bytes(), b"=", &self.value()].concat(),
            }
        }

        /// The licence in any case, any letter of its name percent-encoded.
        fn credential(&mut self) -> Vec<u8> {
            let mut written = String::new();
            for letter in "licence".chars() {
                let letter = if self.below(2) == 0 {
                    letter
                } else {
                    letter.to_ascii_uppercase()
                };
                match self.below(12) {
                    0 => written += &format!("%{:02x}", letter as u32),
                    1 => written += &format!("%{:02X}", letter as u32),
                    _ => written.push(letter),
                }
            }
            match self.below(5) {
                0 => written.into_bytes(),
                1 => [written.as_bytes(), b"="].concat(),
                _ => [written.as_bytes(), b"=", &self.value()].concat(),
            }
        }

        /// A token, and how it has to be written.
        fn token(&mut self) -> (Vec<u8>, String) {
            const LETTERS: &[(u8, &str)] = &[
                (b'T', "T"),
                (b'k', "k"),
                (b'0', "0"),
                (b'-', "-"),
                (b'_', "_"),
                (b'.', "."),
                (b'+', "%2B"),
                (b'/', "%2F"),
                (b'=', "%3D"),
                (b'*', "%2A"),
                (b'~', "%7E"),
                (b'%', "%25"),
                (b'&', "%26"),
                (b'#', "%23"),
            ];
            let drawn: Vec<_> = (0..=self.below(9))
                .map(|_| LETTERS[self.below(LETTERS.len())])
                .collect();
            (
                drawn.iter().map(|(raw, _)| *raw).collect(),
                drawn.iter().map(|(_, coded)| *coded).collect(),
            )
        }
    }

    fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
        parts.join(&b'&')
    }

    /// The expected texts follow from how the text was made, not from reading it.
    fn check(seed: u64) {
        let mut draw = Draw(seed);
        let (token, coded) = draw.token();
        let ours = format!("Licence={coded}").into_bytes();
        let (mut sent, mut others, mut with_ours) = (Vec::new(), Vec::new(), Vec::new());
        let mut has_licence = false;
        for _ in 0..draw.below(8) {
            if draw.below(4) == 0 {
                sent.push(draw.credential());
                if !std::mem::replace(&mut has_licence, true) {
                    with_ours.push(ours.clone());
                }
            } else {
                let other = draw.other();
                sent.push(other.clone());
                others.push(other.clone());
                with_ours.push(other);
            }
        }
        let text = joined(&sent);
        if !has_licence {
            // One empty parameter and none at all are written alike.
            if text.is_empty() {
                with_ours.clear();
            }
            with_ours.push(ours);
        }
        let shown = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(is_in(&text, "Licence"), has_licence, "{shown}");
        assert_eq!(*without(&text, "Licence"), joined(&others), "{shown}");
        assert_eq!(
            set_to(&text, "Licence", &token),
            joined(&with_ours),
            "{shown}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 100_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn of_a_hundred_thousand_queries_and_forms_every_other_byte_stays(seed: u64) {
            check(seed);
        }
    }
}
