use super::*;

fn map(fields: &[(&str, &str)]) -> Fields {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

fn line((name, value): (&[u8], &[u8])) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}", text(name), text(value))
}

fn names(fields: &Fields) -> Vec<String> {
    let mut names: Vec<String> = fields.iter().map(line).collect();
    names.sort();
    names
}

fn to_dqe(fields: &Fields, token: &HeaderValue, id: &HeaderValue) -> Fields {
    let noted = Noted::in_request(fields);
    let own = Own {
        authorization: Some(token),
        length: None,
        request_id: id.as_bytes(),
    };
    let sent = outgoing(fields, noted, Version::HTTP_11, own);
    sent.map(|(name, value)| (std::str::from_utf8(name).unwrap(), value))
        .collect()
}

fn sent(received: &[(&str, &str)]) -> Vec<String> {
    let token = HeaderValue::from_static("Bearer OURS");
    let id = HeaderValue::from_static("id1");
    let sent = to_dqe(&map(received), &token, &id);
    let ours = [
        "authorization: Bearer OURS",
        "via: 1.1 dqe-proxy",
        "x-request-id: id1",
    ];
    for field in ours {
        assert!(
            names(&sent).contains(&field.to_owned()),
            "{field} is missing"
        );
    }
    names(&sent)
        .into_iter()
        .filter(|field| !ours.contains(&field.as_str()))
        .collect()
}

#[test]
fn max_forwards_counts_down_where_it_means_something() {
    for (method, value, expected) in [
        (Method::OPTIONS, "0", Some(0)),
        (Method::OPTIONS, "007", Some(7)),
        (Method::OPTIONS, "256", Some(255)),
        (Method::OPTIONS, "-1", None),
        (Method::OPTIONS, "", None),
        (Method::GET, "1", None),
    ] {
        let mut fields = map(&[("max-forwards", value)]);
        assert_eq!(
            forwards_left(&method, &fields),
            expected,
            "{method} {value}"
        );
        count_down(&method, &mut fields);
        let left = expected.map(|left| left.saturating_sub(1).to_string());
        let sent = fields.get(name::MAX_FORWARDS);
        assert_eq!(sent, left.as_deref().map(str::as_bytes), "{method} {value}");
    }
    let twice = map(&[("max-forwards", "1"), ("max-forwards", "2")]);
    assert_eq!(forwards_left(&Method::OPTIONS, &twice), None);
}

#[test]
fn the_callers_credentials_and_traces_stay_inside() {
    let inside = [
        ("Authorization", "Bearer theirs"),
        ("Authorization", "Basic twice"),
        ("Cookie", "a=1"),
        ("Host", "proxy.internal:8080"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Forwarded-Proto", "http"),
        ("Forwarded", "for=10.1.2.3"),
        ("X-Real-IP", "10.1.2.3"),
        ("Via", "1.1 inner"),
        ("Proxy-Authorization", "Basic x"),
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "x"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("X-Forwarded", "x"),
        ("X-Client-IP", "10.1.2.3"),
        ("X-Cluster-Client-IP", "10.1.2.3"),
        ("True-Client-IP", "10.1.2.3"),
        ("X-Original-Host", "inner"),
        ("X-Original-URL", "/x"),
        ("X-Rewrite-URL", "/x"),
        ("X-Envoy-External-Address", "10.1.2.3"),
        ("Cookie2", "x"),
        ("Referer", "http://intranet/form?name=x"),
        ("Origin", "http://intranet"),
        ("Sec-Fetch-Site", "same-site"),
        ("Client-IP", "10.1.2.3"),
        ("X-Originating-IP", "10.1.2.3"),
        ("X-Original-Forwarded-For", "10.1.2.3"),
        ("WL-Proxy-Client-IP", "10.1.2.3"),
    ];
    assert_eq!(sent(&inside), Vec::<String>::new());
}

#[test]
fn everything_else_passes_in_order_and_as_received() {
    let received = [
        ("Accept", "*/*"),
        ("X-App", "a"),
        ("X-App", "b\u{e9}"),
        ("Content-Length", "3"),
    ];
    assert_eq!(
        sent(&received),
        [
            "accept: */*",
            "content-length: 3",
            "x-app: a",
            "x-app: b\u{e9}"
        ]
    );
    let raw = Fields::from_iter([("x-latin", &b"caf\xe9"[..])]);
    let token = HeaderValue::from_static("t");
    let sent = to_dqe(&raw, &token, &token);
    assert_eq!(sent.get("x-latin"), Some(&b"caf\xe9"[..]));
}

#[test]
fn a_length_of_our_own_and_a_plain_answer_take_the_place_of_the_callers() {
    let received = map(&[("Content-Length", "3"), ("Accept-Encoding", "gzip, br")]);
    let (length, id) = (HeaderValue::from(57), HeaderValue::from_static("id1"));
    let own = Own {
        authorization: None,
        length: Some(&length),
        request_id: id.as_bytes(),
    };
    let noted = Noted::in_request(&received);
    let sent: Vec<String> = outgoing(&received, noted, Version::HTTP_11, own)
        .map(line)
        .collect();
    let expected = [
        "content-length: 57",
        "accept-encoding: identity",
        "via: 1.1 dqe-proxy",
        "x-request-id: id1",
    ];
    assert_eq!(sent, expected);
}

#[test]
fn what_any_connection_line_names_is_dropped_but_never_what_the_message_needs() {
    let received = [
        ("Connection", "close, X-One"),
        (
            "Connection",
            "x-two , authorization, host, content-length, via, x-request-id",
        ),
        ("X-One", "1"),
        ("X-Two", "2"),
        ("X-Three", "3"),
        ("Content-Length", "3"),
    ];
    assert_eq!(sent(&received), ["content-length: 3", "x-three: 3"]);
}

#[test]
fn an_answer_loses_its_hop_by_hop_fields_and_cookies_only() {
    let mut answer = map(&[
        ("Connection", "x-hop"),
        ("Connection", "close"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "application/json"),
        ("Vary", "accept"),
        ("Via", "1.1 dqe"),
    ]);
    clean_answer(
        &mut answer,
        StatusCode::OK,
        Version::HTTP_11,
        &HeaderValue::from_static("id1"),
    );
    assert_eq!(
        names(&answer),
        [
            "content-type: application/json",
            "vary: accept",
            "via: 1.1 dqe",
            "via: 1.1 dqe-proxy",
            "x-request-id: id1"
        ]
    );
}

#[test]
fn our_own_via_entry_tells_a_loop() {
    for (via, expected) in [
        ("1.1 dqe-proxy", true),
        ("1.0 inner, 1.1 dqe-proxy (comment)", true),
        ("1.1 dqe-proxy-2", false),
        ("1.1 inner", false),
    ] {
        assert_eq!(
            has_been_here(&map(&[("Via", "1.1 first"), ("Via", via)])),
            expected,
            "{via}"
        );
    }
}
