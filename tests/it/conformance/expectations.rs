//! `Expect`, interim answers, answers before the request's end, both ways at once.

use super::bench;
use super::case::{Case, Piece, Reached, TARGET, case, forwarded, forwarded_as};
use crate::support::After;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = asked_first();
    cases.extend(interim());
    cases.extend(early());
    cases
}

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn get(fields: &str) -> String {
    head(&format!("GET {TARGET}"), fields)
}

fn forwarded_get() -> Reached {
    forwarded(&format!("GET {TARGET}"), "")
}

fn post(fields: &str) -> String {
    head(&format!("POST {TARGET}"), fields)
}

fn posted(body: &str) -> Reached {
    let length = format!("content-length: {}\r\n", body.len());
    forwarded(&format!("POST {TARGET}"), &length).with(body)
}

/// Waits for a word, gets it, sends two letters, and is answered.
fn waits(name: &'static str, expects: &str) -> Case {
    let fields = format!("{expects}Content-Length: 2\r\n");
    case(name, "RFC 9110 §10.1.1", post(&fields))
        .then(Piece::Await(CONTINUE))
        .then_sends("ab")
        .reaches(posted("ab"))
        .gets(100)
        .gets(200)
        .kept()
}

/// RFC 9110 §10.1.1.
fn asked_first() -> Vec<Case> {
    let clause = "RFC 9110 §10.1.1";
    let asks = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    vec![
        waits("asks, waits, sends", "Expect: 100-continue\r\n"),
        waits("asks in capitals", "EXPECT: 100-CONTINUE\r\n"),
        case(
            "asks and sends chunks",
            clause,
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"),
        )
        .then(Piece::Await(CONTINUE))
        .then_sends("2\r\nab\r\n0\r\n\r\n")
        .reaches(forwarded(&format!("POST {TARGET}"), "").chunked("ab"))
        .gets(100)
        .gets(200)
        .kept(),
        waits("asks beside something else", "Expect: 200-ok=\"a\" , 100-Continue\r\n"),
        waits("asks in the first of two lines", "Expect: 100-continue\r\nExpect: 200-ok\r\n"),
        waits("asks in the second of two lines", "Expect: 200-ok\r\nExpect: 100-continue\r\n"),
        case(
            "asks without a body",
            clause,
            post("Expect: 100-continue\r\nContent-Length: 0\r\n"),
        )
        .reaches(posted(""))
        .gets(200)
        .kept(),
        case(
            "asks for a GET",
            clause,
            get("Expect: 100-continue\r\n"),
        )
        .reaches(forwarded_get())
        .gets(200)
        .kept(),
        case("asks, and is refused", clause, head("POST /nowhere", asks))
            .gets(404)
            .field("connection", "close"),
        case(
            "asks, is refused, sends all the same",
            clause,
            head(
                "POST /nowhere",
                "Expect: 100-continue\r\nContent-Length: 41\r\n",
            ),
        )
        .then(Piece::Await("}\n"))
        .then_sends("GET /TEL/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        .gets(404),
        case(
            "asks for something else",
            clause,
            get("Expect: 200-ok\r\n"),
        )
        .reaches(forwarded_get())
        .gets(200)
        .kept(),
        case("asks, and sends at once", clause, format!("{}ab", post(asks)))
            .reaches(posted("ab"))
            .gets(200)
            .kept(),
        case(
            "asks, and sends no chunk at once",
            clause,
            format!(
                "{}0\r\n\r\n",
                post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")
            ),
        )
        .reaches(forwarded(&format!("POST {TARGET}"), "").chunked(""))
        .gets(200)
        .kept(),
        case(
            "asks among others",
            clause,
            format!(
                "{}{}ab{}",
                get(""),
                post(asks),
                get("")
            ),
        )
        .reaches(forwarded_get())
        .reaches(posted("ab"))
        .reaches(forwarded_get())
        .gets(200)
        .gets(200)
        .gets(200)
        .kept(),
        case(
            "asks, has sent, and is refused",
            clause,
            format!(
                "{}ab{}",
                head("POST /nowhere", asks),
                get("")
            ),
        )
        .reaches(forwarded_get())
        .gets(404)
        .gets(200)
        .kept(),
        case(
            "asks, sends too much, and is refused",
            clause,
            post("Expect: 100-continue\r\nContent-Length: 18446744073709551613\r\n"),
        )
        .gets(413)
        .field("connection", "close"),
        case(
            "asks for something else with a body",
            clause,
            format!("{}ab", post("Expect: 200-ok\r\nContent-Length: 2\r\n")),
        )
        .reaches(posted("ab"))
        .gets(200)
        .kept(),
        case(
            "asks on a connection of 1.0",
            clause,
            format!(
                "POST {TARGET} HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
            ),
        )
        .reaches(
            forwarded_as(
                &format!("POST {TARGET}"),
                "content-length: 2\r\n",
                "1.0",
                "client_phone",
            )
            .with("ab"),
        )
        .gets(200)
        .kept(),
        case("asks, and leaves", clause, post(asks))
            .then(Piece::Await(CONTINUE))
            .then(Piece::HalfClose)
            .reaches(Reached::NeverWhole)
            .gets(100)
            .gets(400),
    ]
}

/// RFC 9110 §15.2: interim answers of the server are not the answer.
fn interim() -> Vec<Case> {
    let end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 5\r\n\r\n";
    [
        ("100", format!("{CONTINUE}{end}")),
        ("102", format!("HTTP/1.1 102 Processing\r\n\r\n{end}")),
        ("103 with fields", format!("{early}{end}")),
        (
            "one nobody knows",
            format!("HTTP/1.1 199 What\r\n\r\n{end}"),
        ),
        ("eight", format!("{}{end}", CONTINUE.repeat(8))),
    ]
    .into_iter()
    .map(|(name, answer)| {
        case(format!("interim: {name}"), "RFC 9110 §15.2", get(""))
            .says(answer)
            .reaches(forwarded_get())
            .gets(200)
            .without("link")
            .kept()
            .server_kept(true)
    })
    .chain([
        case("interim: without end", "RFC 9110 §15.2", get(""))
            .says(CONTINUE.repeat(100))
            .reaches(forwarded_get())
            .gets(502)
            .kept()
            .server_kept(false),
        case("interim: and then nothing", "RFC 9110 §15.2", get(""))
            .says(CONTINUE)
            .after(After::Close)
            .reaches(forwarded_get())
            .gets(502)
            .kept(),
    ])
    .collect()
}

/// RFC 9112 §9.5 and §6: an answer may come before the request's end; both
/// bodies move at the same time.
fn early() -> Vec<Case> {
    let clause = "RFC 9112 §9.5";
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let line = format!("POST {TARGET}");
    let large = "a".repeat(300_000);
    vec![
        case(
            "an early answer, the body follows",
            clause,
            // A body that could be a form is read whole before anything is sent.
            post("Content-Type: application/json\r\nContent-Length: 4\r\n"),
        )
        .early()
        .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .then(Piece::Await("ok"))
        .then_sends("abcd")
        .reaches(Reached::NeverWhole)
        .gets(200)
        .kept(),
        case(
            "an early answer, the body follows in chunks, and a request",
            clause,
            post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"),
        )
        .early()
        .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .then(Piece::Await("ok"))
        .then_sends(format!(
            "4;x=y\r\nabcd\r\n0\r\nX-Trailer: 1\r\n\r\n{}",
            head("GET /nowhere", "")
        ))
        .reaches(Reached::NeverWhole)
        .gets(200)
        .gets(404)
        .kept(),
        case(
            "an early answer, the body follows and is none",
            clause,
            post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"),
        )
        .early()
        .says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .then(Piece::Await("ok"))
        .then_sends(format!("x\r\n{}", get("")))
        .reaches(Reached::NeverWhole)
        .gets(200),
        case(
            "an early answer and its end",
            clause,
            format!(
                "{}{large}",
                post("Connection: close\r\nContent-Length: 300000\r\n")
            ),
        )
        .early()
        .says(refusal)
        .after(After::HalfClose)
        .reaches(Reached::NeverWhole)
        .gets(413)
        .body("big"),
        case(
            "both ways at once",
            clause,
            post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"),
        )
        .early()
        // The first bytes of a 2xx are held until they tell whether the token is dead.
        .says("HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .says_at_last("4\r\nlast\r\n0\r\n\r\n")
        .then(Piece::Await("first\r\n"))
        .then_sends("2\r\nab\r\n0\r\n\r\n")
        .reaches(forwarded(&line, "content-type: application/json\r\n").chunked("ab"))
        .gets(409)
        .body("firstlast")
        .kept(),
    ]
}

#[test]
fn both_directions_go_on_at_their_own_pace() {
    bench::run(&cases());
}
