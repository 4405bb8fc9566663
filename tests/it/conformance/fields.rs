//! Which of a caller's fields reach the server.

use super::bench;
use super::case::{Case, TARGET, case, forwarded, forwarded_as};

const LINE: &str = "GET /TEL/?q=V4LU3";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = stay_inside();
    cases.extend(go_on());
    cases.extend(nominated());
    cases.extend(loops());
    cases.extend(request_ids());
    cases.extend(bytes());
    cases
}

fn get(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn passes(name: &str, clause: &'static str, fields: &str, kept: &str) -> Case {
    case(name, clause, get(fields))
        .reaches(forwarded(LINE, kept))
        .gets(200)
        .kept()
}

/// Fields of one connection, credentials, and what tells of the network inside.
fn stay_inside() -> Vec<Case> {
    let hop = "RFC 9110 §7.6.1";
    let isolation = "security: isolation";
    [
        ("Keep-Alive: timeout=5", hop),
        ("Proxy-Connection: keep-alive", hop),
        ("Proxy-Authorization: Basic eA==", hop),
        ("Proxy-Authenticate: Basic", hop),
        ("TE: trailers", hop),
        ("Trailer: X-Sum", hop),
        ("Upgrade: h2c", hop),
        ("Upgrade: websocket", hop),
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
            hop,
        ),
        ("Connection: keep-alive", hop),
        ("Authorization: Bearer theirs", isolation),
        ("AUTHORIZATION: Bearer theirs", isolation),
        (
            "Authorization: Basic eA==\r\nAuthorization: Bearer b",
            isolation,
        ),
        ("Authorization:", isolation),
        ("Cookie: a=1", isolation),
        ("Cookie: a=1\r\nCookie: b=2", isolation),
        ("Cookie2: $Version=1", isolation),
        ("X-Forwarded-For: 10.1.2.3", isolation),
        ("X-Forwarded-Host: inner", isolation),
        ("X-Forwarded-Proto: http", isolation),
        ("X-Forwarded-Port: 80", isolation),
        ("X-Forwarded-Server: inner", isolation),
        ("X-Forwarded-Prefix: /x", isolation),
        ("X-Forwarded: 10.1.2.3", isolation),
        ("Forwarded: for=10.1.2.3;host=inner", isolation),
        ("X-Real-IP: 10.1.2.3", isolation),
        ("X-Client-IP: 10.1.2.3", isolation),
        ("Client-IP: 10.1.2.3", isolation),
        ("True-Client-IP: 10.1.2.3", isolation),
        ("X-Cluster-Client-IP: 10.1.2.3", isolation),
        ("X-Original-URL: /oauth/access_token/", isolation),
        ("X-Rewrite-URL: /oauth/access_token/", isolation),
        ("Referer: http://intranet/page", isolation),
        ("Via: 1.1 inner", "RFC 9110 §7.6.3"),
        (
            "Via: 1.1 inner, 1.0 deeper (x)\r\nVia: 1.1 last",
            "RFC 9110 §7.6.3",
        ),
        ("Max-Forwards: 5", "RFC 9110 §7.6.2"),
    ]
    .into_iter()
    .map(|(fields, clause)| {
        passes(
            &format!("stays: {fields}"),
            clause,
            &format!("{fields}\r\n"),
            "",
        )
    })
    .collect()
}

/// Everything else goes on as it is.
fn go_on() -> Vec<Case> {
    [
        "accept: */*",
        "accept-language: fr",
        "user-agent: Old/1.0 (x)",
        "content-type: text/plain",
        "cache-control: no-cache",
        "pragma: no-cache",
        "if-none-match: \"a\"",
        "if-modified-since: Sat, 29 Oct 1994 19:43:31 GMT",
        "range: bytes=0-1",
        "from: a@example",
        "date: Sat, 29 Oct 1994 19:43:31 GMT",
        "warning: 199 - x",
        "x-anything: at all",
        "x-forward: no forwarding field",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "soapaction: \"x\"",
        "dnt: 1",
    ]
    .into_iter()
    .map(|field| {
        passes(
            &format!("goes on: {field}"),
            "RFC 9110 §5.1",
            &format!("{field}\r\n"),
            &format!("{field}\r\n"),
        )
    })
    .chain([passes(
        "a coding is not asked for",
        "RFC 9110 §12.5.3",
        "Accept-Encoding: gzip, br\r\n",
        "accept-encoding: identity\r\n",
    )])
    .collect()
}

/// RFC 9110 §7.6.1: what Connection names goes with it, on all of its lines, but
/// nothing that the message needs or the proxy sets.
fn nominated() -> Vec<Case> {
    let clause = "RFC 9110 §7.6.1";
    let mut cases: Vec<Case> = [
        (
            "one",
            "Connection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n",
            "x-end: 2\r\n",
        ),
        ("in other letters", "Connection: x-hop\r\nX-HOP: 1\r\n", ""),
        (
            "several",
            "Connection: X-A, X-B\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n",
            "x-c: 3\r\n",
        ),
        (
            "on two lines",
            "Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2\r\n",
            "",
        ),
        (
            "on three lines, far apart",
            "Connection: X-A\r\nX-A: 1\r\nConnection: keep-alive\r\nX-B: 2\r\nConnection: X-B\r\n",
            "",
        ),
        ("after the field", "X-A: 1\r\nConnection: X-A\r\n", ""),
        (
            "with empty members",
            "Connection: , ,X-A,,\r\nX-A: 1\r\n",
            "",
        ),
        (
            "without spaces",
            "Connection: keep-alive,X-A,X-B\r\nX-A: 1\r\nX-B: 2\r\n",
            "",
        ),
        (
            "with tabs",
            "Connection:\tX-A\t,\tX-B\r\nX-A: 1\r\nX-B: 2\r\n",
            "",
        ),
        (
            "each line of it",
            "Connection: X-A\r\nX-A: 1\r\nX-A: 2\r\n",
            "",
        ),
        ("what is not there", "Connection: X-A\r\n", ""),
        ("Authorization", "Connection: Authorization\r\n", ""),
        (
            "Authorization and theirs",
            "Connection: authorization\r\nAuthorization: Bearer theirs\r\n",
            "",
        ),
        ("Host", "Connection: Host\r\n", ""),
        ("Via", "Connection: Via\r\n", ""),
        ("X-Request-Id", "Connection: X-Request-Id\r\n", ""),
        ("Connection itself", "Connection: Connection\r\n", ""),
        ("Accept", "Connection: Accept\r\nAccept: */*\r\n", ""),
    ]
    .into_iter()
    .map(|(name, fields, kept)| passes(&format!("nominated: {name}"), clause, fields, kept))
    .collect();
    let post = |fields: &str, body: &str| {
        format!("POST {TARGET} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
    };
    cases.push(
        case(
            "nominated: Content-Length",
            clause,
            post("Connection: Content-Length\r\nContent-Length: 2\r\n", "ab"),
        )
        .reaches(forwarded("POST /TEL/?q=V4LU3", "content-length: 2\r\n").with("ab"))
        .gets(200)
        .kept(),
    );
    cases.push(
        case(
            "nominated: Transfer-Encoding",
            clause,
            post(
                "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
                "2\r\nab\r\n0\r\n\r\n",
            ),
        )
        .reaches(forwarded("POST /TEL/?q=V4LU3", "").chunked("ab"))
        .gets(200)
        .kept(),
    );
    cases.push(
        case(
            "nominated: Content-Type",
            clause,
            post(
                "Connection: Content-Type\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n",
                "ab",
            ),
        )
        .reaches(forwarded("POST /TEL/?q=V4LU3", "content-length: 2\r\n").with("ab"))
        .gets(200)
        .kept(),
    );
    cases
}

/// RFC 9110 §7.6.3: a request that has been here before.
fn loops() -> Vec<Case> {
    let clause = "RFC 9110 §7.6.3";
    let refused = [
        "1.1 dqe-proxy",
        "1.0 dqe-proxy",
        "HTTP/1.1 dqe-proxy",
        "1.1 a, 1.1 dqe-proxy",
        "1.1 dqe-proxy, 1.1 a",
        "1.1 dqe-proxy (comment)",
        "1.1 a\r\nVia: 1.1 dqe-proxy",
        "1.1\tdqe-proxy",
        "1.1  dqe-proxy",
        "1.1 DQE-Proxy",
    ];
    let refused = refused.into_iter().map(|via| {
        case(
            format!("loop: {via}"),
            clause,
            get(&format!("Via: {via}\r\n")),
        )
        .gets(508)
        .kept()
    });
    let taken = [
        "1.1 dqe-proxy-2",
        "1.1 my-dqe-proxy",
        "dqe-proxy",
        "1.1 x (dqe-proxy)",
    ];
    let taken = taken.into_iter().map(|via| {
        passes(
            &format!("no loop: {via}"),
            clause,
            &format!("Via: {via}\r\n"),
            "",
        )
    });
    let old = case(
        "Via tells the caller's version",
        clause,
        format!("GET {TARGET} HTTP/1.0\r\n\r\n"),
    )
    .reaches(forwarded_as(LINE, "", "1.0", "client_phone"))
    .gets(200);
    refused.chain(taken).chain([old]).collect()
}

/// A harmless request id of the caller goes on; any other is replaced.
fn request_ids() -> Vec<Case> {
    let own = |id: &str| {
        let reached = match forwarded(LINE, "") {
            super::case::Reached::Exactly { head, body } => super::case::Reached::Exactly {
                head: head.replace("x-request-id: ID", &format!("x-request-id: {id}")),
                body,
            },
            never => never,
        };
        case(
            format!("request id {id}"),
            "RFC 9110 §5.5",
            get(&format!("X-Request-Id: {id}\r\n")),
        )
        .reaches(reached)
        .gets(200)
        .kept()
    };
    let replaced = ["a b", "a\"b", "<x>", "\u{e9}", ""].into_iter().map(|id| {
        passes(
            &format!("request id replaced: {id}"),
            "RFC 9110 §5.5",
            &format!("X-Request-Id: {id}\r\n"),
            "",
        )
    });
    let long = "a".repeat(65);
    [own("abc-123_x.y"), own(&long[..64])]
        .into_iter()
        .chain(replaced)
        .chain([passes(
            "request id too long",
            "RFC 9110 §5.5",
            &format!("X-Request-Id: {long}\r\n"),
            "",
        )])
        .collect()
}

/// RFC 9110 §5.5: obs-text goes through as it is.
fn bytes() -> Vec<Case> {
    let mut sent = b"GET /TEL/?q=V4LU3 HTTP/1.1\r\nHost: x\r\nX-Latin: ".to_vec();
    sent.extend_from_slice("\u{80}\u{ff}".as_bytes());
    sent.extend_from_slice(b"\r\n\r\n");
    vec![
        case("bytes of UTF-8", "RFC 9110 §5.5", sent)
            .reaches(forwarded(LINE, "x-latin: \u{80}\u{ff}\r\n"))
            .gets(200)
            .kept(),
    ]
}

#[test]
fn a_field_goes_on_or_stays_inside() {
    bench::run(&cases());
}
