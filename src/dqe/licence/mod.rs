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
mod tests;
