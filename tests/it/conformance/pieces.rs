//! A request is the same request in whatever pieces it arrives.

use super::bench;
use super::case::{Case, Reached, TARGET, case, forwarded, forwarded_as};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for whole in requests() {
        let sent = whole.sent.as_bytes();
        for at in 1..sent.len() {
            let (first, second) = sent.split_at(at);
            let name = format!("{} in two pieces, {at}", whole.name);
            cases.push(whole.case(name).in_pieces([first, second]));
        }
        let name = format!("{} byte by byte", whole.name);
        cases.push(whole.case(name).in_pieces(sent.chunks(1)));
    }
    cases
}

/// Bytes from a caller, and what comes of them in one piece or in many.
struct Whole {
    name: &'static str,
    sent: String,
    reaches: Vec<Reached>,
    statuses: &'static [u16],
    is_kept: bool,
}

impl Whole {
    fn case(&self, name: String) -> Case {
        let mut case = case(name, "RFC 9112 §2.2", "");
        case.reaches.clone_from(&self.reaches);
        let case = self
            .statuses
            .iter()
            .fold(case, |case, status| case.gets(*status));
        if self.is_kept { case.kept() } else { case }
    }
}

fn requests() -> Vec<Whole> {
    let get = format!("GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n");
    let line = format!("GET {TARGET}");
    let post = format!("POST {TARGET}");
    vec![
        Whole {
            name: "a GET after an empty line",
            sent: format!("\r\n{get}"),
            reaches: vec![forwarded(&line, "")],
            statuses: &[200],
            is_kept: true,
        },
        Whole {
            name: "bare LF",
            sent: get.replace("\r\n", "\n"),
            reaches: vec![forwarded(&line, "")],
            statuses: &[200],
            is_kept: true,
        },
        Whole {
            name: "a body and a GET",
            sent: format!("{post} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab\r\n\r\n{get}"),
            reaches: vec![
                forwarded(&post, "content-length: 6\r\n").with("ab\r\n\r\n"),
                forwarded(&line, ""),
            ],
            statuses: &[200, 200],
            is_kept: true,
        },
        Whole {
            name: "chunks and a GET",
            sent: format!(
                "{post} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 02 ;a=\"b\"\r\nab\r\nA\r\n0123\r\n6789\r\n0\r\nX-Sum: 1\r\n\r\n{get}"
            ),
            reaches: vec![
                forwarded(&post, "").chunked("ab0123\r\n6789"),
                forwarded(&line, ""),
            ],
            statuses: &[200, 200],
            is_kept: true,
        },
        Whole {
            name: "an old request",
            sent: format!("{line} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            reaches: vec![forwarded_as(&line, "", "1.0", "client_phone")],
            statuses: &[200],
            is_kept: true,
        },
        Whole {
            name: "a space before a colon",
            sent: format!("{line} HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n"),
            reaches: Vec::new(),
            statuses: &[400],
            is_kept: false,
        },
        Whole {
            name: "folding",
            sent: format!("{line} HTTP/1.1\r\nHost: x\r\n y\r\n\r\n"),
            reaches: Vec::new(),
            statuses: &[400],
            is_kept: false,
        },
    ]
}

#[test]
fn a_request_may_come_in_any_pieces() {
    bench::run(&cases());
}
