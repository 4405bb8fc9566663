//! The licence parameter alone goes or is set: every other byte of a query or
//! form stays, and who reads the result again finds one credential, or none.
#![no_main]

use dqe_proxy::dqe::licence::{self, Encoded};
use dqe_proxy_fuzz::decoded;
use libfuzzer_sys::fuzz_target;

const CODE: &[u8] = b"COD&~1";

fuzz_target!(|data: &[u8]| {
    let [choice, length, rest @ ..] = data else {
        return;
    };
    let (token, text) = rest.split_at(usize::from(*length % 24).min(rest.len()));
    let name = if choice & 1 == 0 { "Licence" } else { "token" };
    let beside = choice & 3 == 3;
    let encoded = if beside {
        Encoded::of(token).beside(CODE)
    } else {
        Encoded::of(token)
    };
    let written: Vec<&[u8]> = text.split(|byte| *byte == b'&').collect();
    let others: Vec<&[u8]> = written
        .iter()
        .copied()
        .filter(|parameter| !carries(parameter, name))
        .collect();
    assert_eq!(licence::is_in(text, name), others.len() < written.len());

    let without = licence::without(text, name);
    assert_eq!(*without, *others.join(&b'&'));
    assert!(!licence::is_in(&without, name));

    let mut set = Vec::new();
    licence::set(text, name, &encoded, &mut set);
    assert_eq!(
        *licence::without(&set, name),
        *without,
        "another byte changed"
    );
    let mut again = Vec::new();
    licence::set(&set, name, &encoded, &mut again);
    assert_eq!(again, set, "set twice is not set once");

    let carried: Vec<(usize, Vec<u8>, Vec<u8>)> = set
        .split(|byte| *byte == b'&')
        .enumerate()
        .filter(|(_, parameter)| carries(parameter, name))
        .map(|(index, parameter)| {
            let mut halves = parameter.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap().to_vec();
            (index, name, form_decoded(halves.next().unwrap()))
        })
        .collect();
    let place = written
        .iter()
        .position(|parameter| carries(parameter, name))
        .unwrap_or(if text.is_empty() { 0 } else { written.len() });
    let mut expected = vec![(place, name.as_bytes().to_vec(), token.to_vec())];
    if beside {
        expected.push((place + 1, b"licence".to_vec(), CODE.to_vec()));
    }
    assert_eq!(carried, expected, "not one credential in its place");
});

/// Whether a form decoder gives this parameter a credential's name.
fn carries(parameter: &[u8], name: &str) -> bool {
    let end = parameter.iter().position(|byte| *byte == b'=');
    let read = form_decoded(&parameter[..end.unwrap_or(parameter.len())]);
    read.eq_ignore_ascii_case(b"licence") || read.eq_ignore_ascii_case(name.as_bytes())
}

fn form_decoded(text: &[u8]) -> Vec<u8> {
    let spaces = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
    decoded(&text.iter().map(spaces).collect::<Vec<_>>())
}
