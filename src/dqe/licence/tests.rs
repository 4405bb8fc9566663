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
