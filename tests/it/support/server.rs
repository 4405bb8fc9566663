//! What the servers of stories have in common: a thread for each connection, and
//! the reading of requests whose body has a length or that have none.

use std::io::BufRead;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Calls `serve` with each connection, on a thread of its own; they end with the test.
pub(crate) fn serve_each(listener: TcpListener, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
}

/// Everything up to and including the empty line; `None` when the connection ends before.
pub(crate) fn read_head(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// The body of the length that `head` tells; `None` when the connection ends before.
pub(crate) fn read_body(head: &[u8], stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
