//! The grammar of a host and its port, in `Host` and in the authority of a target
//! (RFC 9110 §7.2, RFC 3986 §3.2.2). Pure.

use std::net::Ipv6Addr;

/// The name in `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), with
/// the brackets of an address. It may be empty; `None` when anything is wrong.
pub(super) fn host_name(text: &[u8]) -> Option<&[u8]> {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let length = rest.iter().position(|byte| *byte == b']')?;
            let address = std::str::from_utf8(&rest[..length]).ok()?;
            address.parse::<Ipv6Addr>().ok()?;
            text.split_at("[".len() + length + "]".len())
        }
        _ => {
            let end = text.iter().position(|byte| *byte == b':');
            let (name, port) = text.split_at(end.unwrap_or(text.len()));
            is_name(name).then_some((name, port))?
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    is_port.then_some(host)
}

/// Digits of at most 65535, or none.
fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    number.is_some()
}

/// Bytes that stand for themselves in a name: `unreserved` and `sub-delims` of RFC 3986.
static IN_NAMES: [bool; 256] = {
    let listed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=";
    let (mut is_in, mut at) = ([false; 256], 0);
    while at < listed.len() {
        is_in[listed[at] as usize] = true;
        at += 1;
    }
    is_in
};

/// `reg-name`, which an IPv4 address is as well.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let is_valid = match byte {
            b'%' => [rest.next(), rest.next()]
                .iter()
                .all(|digit| digit.is_some_and(u8::is_ascii_hexdigit)),
            _ => IN_NAMES[usize::from(*byte)],
        };
        if !is_valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_stands_for_itself() {
        for byte in 0..=u8::MAX {
            let stands = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
            assert_eq!(is_name(&[b'a', byte]), stands, "{byte}");
        }
    }
}
