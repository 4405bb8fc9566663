//! Methods: what goes on, what is refused, what the proxy answers itself.

use super::bench;
use super::case::{Case, Ends, TARGET, case, forwarded};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = go_on();
    cases.extend(bodies());
    cases.extend(refused());
    cases.extend(max_forwards());
    cases
}

/// RFC 9110 §9: a proxy forwards methods it does not know.
fn go_on() -> Vec<Case> {
    [
        "GET",
        "HEAD",
        "DELETE",
        "OPTIONS",
        "PROPFIND",
        "REPORT",
        "SEARCH",
        "QUERY",
        "get",
        "Get",
        "X",
        "M-SEARCH",
        "A!#$%&'*+-.^_`|~0",
    ]
    .into_iter()
    .map(|method| {
        let sent = format!("{method} {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n");
        let case = case(format!("method {method}"), "RFC 9110 §9.1", sent)
            .reaches(forwarded(&format!("{method} {TARGET}"), ""))
            .gets(200)
            .kept();
        if method == "HEAD" {
            case.says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                .body("")
        } else {
            case
        }
    })
    .chain(["POST", "PUT", "PATCH"].into_iter().map(|method| {
        let sent = format!("{method} {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n");
        case(format!("method {method}"), "RFC 9110 §8.6", sent)
            .reaches(forwarded(&format!("{method} {TARGET}"), "").with_no_body())
            .gets(200)
            .kept()
    }))
    .collect()
}

/// RFC 9110 §9.3.1 and others: a body that nobody expects is no other request.
fn bodies() -> Vec<Case> {
    ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "X"]
        .into_iter()
        .flat_map(|method| {
            let line = format!("{method} {TARGET}");
            let answer = if method == "HEAD" {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            };
            let body = if method == "HEAD" { "" } else { "ok" };
            [
                case(
                    format!("{method} with a length"),
                    "RFC 9110 §9.3",
                    format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"),
                )
                .reaches(forwarded(&line, "content-length: 2\r\n").with("ab"))
                .says(answer)
                .gets(200)
                .body(body)
                .kept(),
                case(
                    format!("{method} with chunks"),
                    "RFC 9110 §9.3",
                    format!("{line} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
                )
                .reaches(forwarded(&line, "").chunked("ab"))
                .says(answer)
                .gets(200)
                .body(body)
                .kept(),
            ]
        })
        .collect()
}

/// RFC 9110 §9.3.6, §9.3.8: no tunnels, no echo of what holds a credential.
fn refused() -> Vec<Case> {
    let refused = |name: &str, clause, sent: &str, ends| {
        let mut case = case(name, clause, sent).gets(405);
        case.ends = ends;
        case
    };
    vec![
        refused(
            "TRACE",
            "RFC 9110 §9.3.8",
            "TRACE /TEL/ HTTP/1.1\r\nHost: x\r\n\r\n",
            Ends::Kept,
        ),
        refused(
            "TRACE with Max-Forwards",
            "RFC 9110 §9.3.8",
            "TRACE /TEL/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
            Ends::Kept,
        ),
        refused(
            "CONNECT",
            "RFC 9110 §9.3.6",
            "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n",
            Ends::Closed,
        ),
        refused(
            "CONNECT to a path",
            "RFC 9110 §9.3.6",
            "CONNECT /TEL/ HTTP/1.1\r\nHost: x\r\n\r\n",
            Ends::Closed,
        ),
        refused(
            "CONNECT, then a request",
            "RFC 9110 §9.3.6",
            "CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\nGET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
            Ends::Closed,
        ),
    ]
}

/// RFC 9110 §7.6.2: OPTIONS counts down, and the proxy answers at zero.
fn max_forwards() -> Vec<Case> {
    let clause = "RFC 9110 §7.6.2";
    let options = |value: &str| {
        format!("OPTIONS {TARGET} HTTP/1.1\r\nHost: x\r\nMax-Forwards: {value}\r\n\r\n")
    };
    let counted = [
        ("1", "0"),
        ("10", "9"),
        ("010", "9"),
        ("255", "254"),
        ("99999999999999999999", "254"),
    ];
    let counted = counted.into_iter().map(|(value, left)| {
        case(
            format!("OPTIONS with {value} to go"),
            clause,
            options(value),
        )
        .reaches(forwarded(
            &format!("OPTIONS {TARGET}"),
            &format!("max-forwards: {left}\r\n"),
        ))
        .gets(200)
        .kept()
    });
    let allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    let last = ["0", "00"].into_iter().map(|value| {
        case(
            format!("OPTIONS with {value} to go"),
            clause,
            options(value),
        )
        .gets(204)
        .field("allow", allow)
        .kept()
    });
    let nonsense = ["", "-1", "x", "1, 2"].into_iter().map(|value| {
        case(
            format!("OPTIONS with {value:?} to go"),
            clause,
            options(value),
        )
        .reaches(forwarded(&format!("OPTIONS {TARGET}"), ""))
        .gets(200)
        .kept()
    });
    let other = case(
        "GET with 0 to go",
        clause,
        format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n"),
    )
    .reaches(forwarded(&format!("GET {TARGET}"), ""))
    .gets(200)
    .kept();
    let star = case(
        "OPTIONS * with 0 to go",
        clause,
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
    )
    .gets(204)
    .field("allow", allow)
    .kept();
    counted
        .chain(last)
        .chain(nonsense)
        .chain([other, star])
        .collect()
}

#[test]
fn a_method_goes_on_or_is_answered_here() {
    bench::run(&cases());
}
