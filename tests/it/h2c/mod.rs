//! HTTP/2 without TLS with callers that know it beforehand (`listener.h2c`).

mod calls;
mod endings;
mod openings;
mod refusals;
mod timeouts;
mod translation;

use std::io::BufReader;
use std::net::TcpStream;

use bytes::Bytes;

use crate::support::{self, Answer, Running, Scripted, Setup, eventually, read_chunks};

const CALL: &str = "/TEL/?Tel=0612345678&Pays=FRA";
const MIB: usize = 1024 * 1024;

fn setup() -> Setup {
    Setup::default().set("LISTENER_H2C", "true")
}

fn started(setup: Setup) -> Running {
    let running = setup.start();
    running.wait_until_ready();
    running
}

fn in_front_of(scripted: &Scripted) -> Running {
    started(setup().server(scripted.url()))
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.field("content-type");
    assert_eq!(kind.as_deref(), Some("application/problem+json"));
    assert_eq!(answer.json()["code"], code);
}

/// The last line of the access log about `route`, once there are `count`: those of
/// two threads come in any order.
fn logged(running: &Running, route: &str, count: usize) -> serde_json::Value {
    let mut lines = Vec::new();
    eventually("the access log has its line", || {
        lines = running.log_lines(route);
        lines.len() == count
    });
    lines.pop().unwrap()
}

/// Bytes that differ from place to place and hold nothing that is masked.
fn many_bytes(length: usize) -> Bytes {
    (0..length)
        .map(|place| b'0' + (place / 1000 % 10) as u8)
        .collect()
}

/// The body of a request, whole, however it is framed.
fn read_body(head: &str, stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    if head.to_ascii_lowercase().contains("\r\ncontent-length:") {
        return support::read_body(head.as_bytes(), stream);
    }
    let mut body = Vec::new();
    read_chunks(stream, &mut body)?;
    Some(body)
}
