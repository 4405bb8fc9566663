//! Whatever fields a caller or DQE sends: nothing that concerns one connection
//! or the network inside crosses, what `Connection` names goes unless the proxy
//! sets it, our credential is there once, and everything else is untouched.
#![no_main]

use bytes::BytesMut;
use dqe_proxy::http1::Fields;
use dqe_proxy::proxy::hot_parts::{clean_answer, outgoing};
use dqe_proxy::upstream::hot_parts::write_get;
use http::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// RFC 9110 §7.6.1, and what older programs send.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Who called, from where and from which page.
const INSIDE: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "cookie",
    "referer",
    "origin",
];

/// The proxy says these itself.
const OURS: &[&str] = &[
    "authorization",
    "host",
    "via",
    "x-request-id",
    "accept-encoding",
    "expect",
];

type Field = (String, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let received = fields(data);
    let authorization = HeaderValue::from_static("Bearer OURS");
    let id = HeaderValue::from_static("id-of-ours");
    let outgoing = outgoing(&received, &authorization, &id);
    let sent: Fields = outgoing.map(|(name, value)| (text(name), value)).collect();
    let named = named_by_connection(&received);

    for name in HOP_BY_HOP.iter().chain(INSIDE).chain(&["host", "expect"]) {
        assert!(!sent.contains(name), "{name} crosses");
    }
    assert_eq!(values(&sent, "authorization"), [b"Bearer OURS"]);
    assert_eq!(values(&sent, "via"), [b"1.1 dqe-proxy"]);
    assert_eq!(values(&sent, "x-request-id"), [b"id-of-ours"]);
    let accepts: &[&[u8]] = match received.contains("accept-encoding") {
        true => &[b"identity"],
        false => &[],
    };
    assert_eq!(values(&sent, "accept-encoding"), accepts);
    let is_left =
        |name: &str| !is_one_of(name, &[HOP_BY_HOP, INSIDE, OURS]) && !tells_of_inside(name);
    let goes = |name: &str| is_left(name) && (name == "content-length" || !is_named(&named, name));
    assert_eq!(only(&sent, is_left), only(&received, goes));
    check_wire(&sent);

    let mut answer = received.clone();
    clean_answer(&mut answer, &id);
    for name in HOP_BY_HOP.iter().chain(&["set-cookie", "set-cookie2"]) {
        assert!(!answer.contains(name), "{name} crosses back");
    }
    assert_eq!(values(&answer, "x-request-id"), [b"id-of-ours"]);
    assert_eq!(values(&answer, "via").last(), Some(&&b"1.1 dqe-proxy"[..]));
    let is_left = |name: &str| {
        !is_one_of(name, &[HOP_BY_HOP])
            && !matches!(name, "via" | "x-request-id" | "set-cookie" | "set-cookie2")
    };
    let goes = |name: &str| is_left(name) && (name == "content-length" || !is_named(&named, name));
    assert_eq!(only(&answer, is_left), only(&received, goes));
});

/// `name: value` lines; those that are no field are left out.
fn fields(text: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for line in text.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name.as_str(), &value);
        }
    }
    fields
}

/// What the lines of `Connection` list, but for the two that name no field.
fn named_by_connection(fields: &Fields) -> Vec<Vec<u8>> {
    let lines = values(fields, "connection").join(&b',');
    let names = lines.split(|byte| *byte == b',');
    names
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .filter(|name| name != b"close" && name != b"keep-alive")
        .collect()
}

fn is_named(named: &[Vec<u8>], name: &str) -> bool {
    named.iter().any(|one| one == name.as_bytes())
}

fn is_one_of(name: &str, lists: &[&[&str]]) -> bool {
    lists.iter().any(|list| list.contains(&name))
}

/// The proxy may know more names like these than this list does.
fn tells_of_inside(name: &str) -> bool {
    name.starts_with("x-forwarded")
        || name == "cookie2"
        || name == "sec-fetch-site"
        || ["-ip", "remote", "original", "x-originating", "envoy"]
            .iter()
            .any(|part| name.contains(part))
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    fields.get_all(name).collect()
}

/// The fields of these names, in order.
fn only(fields: &Fields, is_meant: impl Fn(&str) -> bool) -> Vec<Field> {
    let fields = fields.iter().map(|(name, value)| (text(name), value));
    fields
        .filter(|(name, _)| is_meant(name))
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .collect()
}

fn text(name: &[u8]) -> &str {
    str::from_utf8(name).expect("a name is ASCII")
}

/// On the wire there is one line per field and nothing else: one credential,
/// one host, no other message behind the head.
fn check_wire(sent: &Fields) {
    let mut wire = BytesMut::new();
    let host = HeaderValue::from_static("dqe.example");
    write_get(&mut wire, "/TEL/", &host, sent.iter());
    let lines: Vec<&[u8]> = wire[..].split(|byte| *byte == b'\n').collect();
    let starts = |with: &[u8]| {
        let lines = lines.iter();
        lines
            .filter(|line| {
                line.len() >= with.len() && line[..with.len()].eq_ignore_ascii_case(with)
            })
            .count()
    };
    assert!(lines.iter().rev().skip(1).all(|line| line.ends_with(b"\r")));
    assert_eq!(lines.iter().filter(|line| **line == b"\r").count(), 1);
    assert_eq!((starts(b"authorization:"), starts(b"host:")), (1, 1));
    assert_eq!(starts(b"transfer-encoding:"), 0);
    assert!(starts(b"content-length:") <= sent.get_all("content-length").count());
}
