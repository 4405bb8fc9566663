//! What the servers of stories have in common: a thread for each connection, and
//! the reading of requests. Strict: what is not framed as it should be is not whole.

use std::io::{self, BufRead, Read, Write};
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

/// Takes `length` bytes of a body into `body`; `None` when the connection ends before.
pub(crate) fn read_length(
    stream: &mut impl BufRead,
    length: u64,
    body: &mut impl Write,
) -> Option<()> {
    let taken = io::copy(&mut stream.by_ref().take(length), body).ok()?;
    (taken == length).then_some(())
}

/// Takes a body in chunks off, into `body`; `None` when it has extensions or
/// trailers, or is not chunked at all.
pub(crate) fn read_chunks(stream: &mut impl BufRead, body: &mut impl Write) -> Option<()> {
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).ok()?;
        let size = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
        // A sign is no digit.
        if !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = u64::from_str_radix(size, 16).ok()?;
        read_length(stream, size, body)?;
        let mut end = [0; 2];
        stream.read_exact(&mut end).ok()?;
        if &end != b"\r\n" {
            return None;
        }
        if size == 0 {
            return Some(());
        }
    }
}
