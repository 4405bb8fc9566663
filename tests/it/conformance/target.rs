//! What a request asks for, in which form, and what of it reaches the server.

use super::bench;
use super::case::{Case, case, forwarded, forwarded_as};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = untouched();
    cases.extend(absolute());
    cases.extend(other_forms());
    cases.extend(refused_bytes());
    cases.extend(ambiguous());
    cases.extend(token_endpoint());
    cases.extend(scopes());
    cases
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// RFC 9110 §4.2.2, RFC 9112 §3.2.1: path and query go on byte for byte.
fn untouched() -> Vec<Case> {
    [
        "/TEL/?q=V4LU3",
        "/TEL/?",
        "/TEL/??",
        "/TEL/?&",
        "/TEL/?a",
        "/TEL/?a=%2540",
        "/TEL/?a=+33",
        "/TEL/?a=%2B33",
        "/TEL/?a=b|c",
        "/TEL/?a=b%7Cc",
        "/TEL/?a=%E9",
        "/TEL/?a=%e9",
        "/TEL/?a=\u{e9}",
        "/TEL/?a=\u{1f600}",
        "/TEL/?a=b%20c",
        "/TEL/?a=b&a=c&a=",
        "/TEL/?a=b;c=d",
        "/TEL/?a=../../x",
        "/TEL/?a=//x",
        "/TEL/?a=\\x",
        "/TEL/?a=%00",
        "/TEL/?a=%0d%0aAuthorization:%20x",
        "/TEL/?a=http://other/",
        "/TEL/?a={b}",
        "/TEL/?a=[b]",
        "/TEL/?a='b'",
        "/TEL/?a=%",
        "/TEL/?a=%zz",
        "/TEL/?a=b?c",
        "/TEL/?a=b/c",
        "/TEL/?a=b:c@d",
        "/TEL/?a=~!*()_-.",
        "/TEL",
        "/tel/?a",
        "/v1/TEL/?a",
        "/V2/tel?a",
    ]
    .into_iter()
    .map(|target| {
        case(format!("kept: {target}"), "RFC 9112 §3.2.1", get(target))
            .reaches(forwarded(&format!("GET {target}"), ""))
            .gets(200)
            .kept()
    })
    .collect()
}

/// RFC 9112 §3.2.2: absolute-form is accepted; it never chooses the server.
fn absolute() -> Vec<Case> {
    let taken = [
        ("another authority", "http://other.example/TEL/?q=V4LU3"),
        ("another port", "http://other.example:1/TEL/?q=V4LU3"),
        ("https", "https://other.example/TEL/?q=V4LU3"),
        ("capitals", "HTTP://OTHER.example/TEL/?q=V4LU3"),
        ("an IPv6 address", "http://[::1]:9/TEL/?q=V4LU3"),
        (
            "the token endpoint's host",
            "http://127.0.0.1:1/TEL/?q=V4LU3",
        ),
    ];
    let taken = taken.into_iter().map(|(name, target)| {
        case(
            format!("absolute-form: {name}"),
            "RFC 9112 §3.2.2",
            get(target),
        )
        .reaches(forwarded("GET /TEL/?q=V4LU3", ""))
        .gets(200)
        .kept()
    });
    let refused = [
        ("another scheme", "ftp://other.example/TEL/", 400),
        ("a scheme nobody knows", "dqe://other.example/TEL/", 400),
        ("file", "file:///TEL/", 400),
        ("no authority", "http:///TEL/", 400),
        ("a user", "http://user:pass@other.example/TEL/", 400),
        ("no path", "http://other.example", 404),
        ("a query without a path", "http://other.example?a", 404),
        ("the token endpoint", "http://x/oauth/access_token/", 404),
    ];
    let refused = refused.into_iter().map(|(name, target, status)| {
        let refused = case(
            format!("absolute-form: {name}"),
            "RFC 9112 §3.2.2",
            get(target),
        )
        .gets(status);
        if name == "no authority" || name == "file" {
            refused
        } else {
            refused.kept()
        }
    });
    taken.chain(refused).collect()
}

/// RFC 9112 §3.2.3, §3.2.4: authority-form is for CONNECT, `*` for OPTIONS.
fn other_forms() -> Vec<Case> {
    [
        (
            "authority-form for GET",
            "GET other.example:80 HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("a word for GET", "GET TEL HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("* for GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            "* for POST",
            "POST * HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        (
            "* for OPTIONS",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            404,
        ),
        ("/*", "GET /* HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ]
    .into_iter()
    .map(|(name, sent, status)| case(name, "RFC 9112 §3.2.4", sent).gets(status).kept())
    .chain([case("a query without a path", "RFC 9112 §3.2.1", get("?q=V4LU3")).gets(400)])
    .collect()
}

/// RFC 3986 §2: what no URI holds is a 400; a fragment never goes on.
fn refused_bytes() -> Vec<Case> {
    let fragments = ["/TEL/?q=V4LU3#top", "/TEL/?q=V4LU3#", "/TEL/?q=V4LU3#?a"];
    let fragments = fragments.into_iter().map(|target| {
        case(
            format!("fragment: {target}"),
            "RFC 9112 §3.2.1",
            get(target),
        )
        .reaches(forwarded("GET /TEL/?q=V4LU3", ""))
        .gets(200)
        .kept()
    });
    let mut latin: Vec<u8> = b"GET /TEL/?a=caf\xe9 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let in_query = case("a Latin-1 byte in the query", "RFC 3986 §2", latin.clone()).gets(400);
    latin.splice(9..9, *b"\xff");
    let in_path = case("a Latin-1 byte in the path", "RFC 3986 §2", latin).gets(400);
    let bytes = ["<", ">", "\"", "`", "^"].into_iter();
    let bytes = bytes.map(|byte| {
        let target = format!("/TEL{byte}/");
        case(format!("{byte} in the path"), "RFC 3986 §2", get(&target))
    });
    let bytes = bytes.map(|case| match case.name.as_bytes()[0] {
        b'<' | b'>' | b'`' => case.gets(400),
        _ => case.gets(404).kept(),
    });
    fragments.chain([in_query, in_path]).chain(bytes).collect()
}

/// RFC 3986 §6.2.2 and what other servers make of it: no second reading of a path.
fn ambiguous() -> Vec<Case> {
    [
        "/./TEL/",
        "/TEL/.",
        "/TEL/..",
        "/x/../TEL/",
        "/TEL/../TEL/",
        "//TEL/",
        "/TEL//",
        "///",
        "/%2e/TEL/",
        "/%2E%2E/TEL/",
        "/TEL%2f",
        "/TEL%2F",
        "/x%2fTEL/",
        "/TEL%5c",
        "/TEL\\",
        "/\\TEL/",
        "/TEL;/",
        "/TEL/;x=1",
        "/;/TEL/",
        "/TEL%3b",
        "/TEL/%00",
        "/TEL%00/",
        "/..",
        "/../..",
        "/.",
        "/TEL/%2e%2e/%2e%2e/",
        "/..;/TEL/",
        "/x/..%2fTEL/",
    ]
    .into_iter()
    .map(|target| {
        case(
            format!("ambiguous: {target}"),
            "RFC 3986 §6.2.2",
            get(target),
        )
        .gets(400)
        .kept()
    })
    .collect()
}

/// Nobody but the proxy itself speaks to the token endpoint.
fn token_endpoint() -> Vec<Case> {
    [
        "/oauth/access_token/",
        "/oauth/access_token",
        "/OAUTH/ACCESS_TOKEN/",
        "/v1/oauth/access_token/",
        "/%6fauth/access_token/",
        "/%6Fauth/access%5Ftoken/",
        "/oauth/%61ccess_token",
        "/access_token/",
        "/%256fauth/access_token/",
        "/oauth",
        "/oauth/",
        "/oauth/access_token/x",
    ]
    .into_iter()
    .flat_map(|target| {
        let query = "?client_id=a&client_secret=b&scope=client_phone";
        let asked = format!("GET {target}{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let posted =
            format!("POST {target}{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        [
            case(
                format!("token endpoint: GET {target}"),
                "security: isolation",
                asked,
            )
            .gets(404)
            .kept(),
            case(
                format!("token endpoint: POST {target}"),
                "security: isolation",
                posted,
            )
            .gets(404)
            .kept(),
        ]
    })
    .collect()
}

/// Each path gets the token of its own scope.
fn scopes() -> Vec<Case> {
    [
        ("/TEL/", "client_phone"),
        ("/RNVP/", "client_address"),
        ("/SINGLE/", "client_address"),
        ("/v1/single/", "client_address"),
        ("/v1/email/lookup", "client_email"),
        ("/email/lookup", "client_email"),
    ]
    .into_iter()
    .map(|(path, scope)| {
        let target = format!("{path}?q=V4LU3");
        case(
            format!("scope of {path}"),
            "security: isolation",
            get(&target),
        )
        .reaches(forwarded_as(&format!("GET {target}"), "", "1.1", scope))
        .gets(200)
        .kept()
    })
    .collect()
}

#[test]
fn a_target_reaches_its_own_route_or_none() {
    bench::run(&cases());
}
