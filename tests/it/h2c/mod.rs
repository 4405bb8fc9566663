//! HTTP/2 without TLS with callers that know it beforehand (`listener.h2c`).

mod calls;
mod endings;
mod openings;
mod refusals;
mod timeouts;
mod translation;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use bytes::Bytes;

use crate::support::{Answer, Running, Scripted, Setup, eventually};

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
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    if let Some(length) = length {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        stream.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + size);
        if size == 0 {
            return Some(body);
        }
    }
}
