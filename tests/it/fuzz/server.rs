//! The server behind the proxy, and the oracle: it takes what arrives apart by
//! a reader of its own, far stricter than RFC 9112, and whatever does not fit
//! is a violation. Its answers are random too, malformed ones among them.

use std::io::{BufReader, Write, sink};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{TOKEN, grant, read_body, read_chunks, read_head, read_length, serve_each};

/// What no caller ever sees.
pub(super) const SECRETS: [&str; 3] = [TOKEN, "S3CR3T", "L1C3NC3"];

/// Names that no request of the proxy has.
const NEVER: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "cookie",
    "forwarded",
    "x-forwarded-for",
];

#[derive(Clone)]
pub(super) struct Server {
    authority: String,
    judged: Arc<AtomicU64>,
    violations: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            authority: listener.local_addr().unwrap().to_string(),
            judged: Arc::default(),
            violations: Arc::default(),
        };
        let at_work = server.clone();
        serve_each(listener, move |stream| at_work.serve(stream));
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Whole calls looked at.
    pub(super) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Relaxed)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut stream = BufReader::new(stream);
        while let Some(head) = read_head(&mut stream) {
            if head.starts_with(b"POST /oauth/access_token/ HTTP/1.1\r\n") {
                let Some(form) = read_body(&head, &mut stream) else {
                    return;
                };
                grant(&String::from_utf8_lossy(&form), stream.get_mut());
                continue;
            }
            let judged = self.judge(&head);
            let framing = match judged {
                Ok(framing) => framing,
                Err(why) => {
                    let mut violations = self.violations.lock().unwrap();
                    violations.push(format!("{why}: {}", head.escape_ascii()));
                    return;
                }
            };
            let whole = match framing {
                Framing::Length(length) => read_length(&mut stream, length, &mut sink()),
                Framing::Chunked => read_chunks(&mut stream, &mut sink()),
            };
            if whole.is_none() {
                return;
            }
            let number = self.judged.fetch_add(1, Ordering::Relaxed);
            if !answer(number, &head, stream.get_mut()) {
                return;
            }
        }
    }

    /// What is wrong with a head, for the oracle's own test.
    pub(super) fn verdict(&self, head: &str) -> Option<&'static str> {
        self.judge(format!("{head}\r\n\r\n").as_bytes()).err()
    }

    /// How the body is delimited, or why this is no call of the proxy's.
    fn judge(&self, head: &[u8]) -> Result<Framing, &'static str> {
        let head = head.strip_suffix(b"\r\n\r\n").ok_or("no end")?;
        if head
            .iter()
            .zip(&head[1..])
            .any(|(a, b)| (*a == b'\r') != (*b == b'\n'))
        {
            return Err("a bare CR or LF");
        }
        let mut lines = head
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end);
        let line = std::str::from_utf8(lines.next().unwrap_or_default()).map_err(|_| "no UTF-8")?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("no request line");
        };
        if method.is_empty()
            || !method.bytes().all(is_token)
            || matches!(method, "TRACE" | "CONNECT")
        {
            return Err("no method to forward");
        }
        let scope = scope(target).ok_or("no target to forward")?;
        let (mut hosts, mut credentials, mut lengths, mut codings) = (0, 0, Vec::new(), 0);
        for line in lines {
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .ok_or("no field")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
                return Err("no field name");
            }
            if value
                .iter()
                .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
            {
                return Err("a control character");
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if NEVER.contains(&name.as_str()) {
                return Err("a field that stays inside");
            }
            match name.as_str() {
                "host" if value == self.authority.as_bytes() => hosts += 1,
                "host" => return Err("another host"),
                "authorization" if value == format!("Bearer {TOKEN}{scope}").as_bytes() => {
                    credentials += 1;
                }
                "authorization" => return Err("another credential"),
                "content-length" => lengths.push(digits(value).ok_or("no length")?),
                "transfer-encoding" if value == b"chunked" => codings += 1,
                "transfer-encoding" => return Err("another coding"),
                _ => {}
            }
        }
        if hosts != 1 || credentials != 1 {
            return Err("not one host and one credential");
        }
        match (&lengths[..], codings) {
            ([], 0) => Ok(Framing::Length(0)),
            ([length], 0) => Ok(Framing::Length(*length)),
            ([], 1) => Ok(Framing::Chunked),
            _ => Err("two framings"),
        }
    }
}

enum Framing {
    Length(u64),
    Chunked,
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The scope of the few paths that are called here.
fn scope(target: &str) -> Option<&'static str> {
    if !target
        .bytes()
        .all(|byte| byte > 0x20 && byte != 0x7f && byte != b'#')
    {
        return None;
    }
    let path = target.split('?').next()?.to_ascii_lowercase();
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut parts = path.splitn(2, '/');
    let path = match (parts.next(), parts.next()) {
        (Some(version), Some(rest))
            if version.starts_with('v')
                && version[1..].bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            rest
        }
        _ => path,
    };
    match path {
        "tel" => Some("client_phone"),
        "rnvp" | "single" => Some("client_address"),
        "email/lookup" => Some("client_email"),
        _ => None,
    }
}

/// Answers, echoing which call it was; whether the connection goes on.
fn answer(number: u64, head: &[u8], stream: &mut TcpStream) -> bool {
    let head = String::from_utf8_lossy(head);
    let id = head.split_once("?id=").map_or("", |(_, rest)| rest);
    let id: String = id
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || *letter == '-')
        .collect();
    let to_head = head.starts_with("HEAD ");
    let echo = if id.is_empty() {
        String::new()
    } else {
        format!("X-Echo: {id}\r\n")
    };
    let ok = format!("HTTP/1.1 200 OK\r\n{echo}");
    let (text, goes_on) = match number % 64 {
        0 => (format!("HTTP/1.1 204 No Content\r\n{echo}\r\n"), true),
        1 => (format!("HTTP/1.1 304 Not Modified\r\n{echo}\r\n"), true),
        2 => (
            format!("HTTP/1.1 103 Early Hints\r\n\r\n{ok}Content-Length: 2\r\n\r\n"),
            true,
        ),
        3 => (
            format!("{ok}Content-Length: 2\r\nContent-Length: 3\r\n\r\nokX"),
            false,
        ),
        4 => (
            format!("{ok}Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Echo: 999-999\r\n\r\n"),
            false,
        ),
        5 => (
            format!(
                "{ok}Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
            false,
        ),
        6 => ("nonsense\r\n\r\n".to_owned(), false),
        7..16 if !to_head => (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            true,
        ),
        _ if to_head => (format!("{ok}Content-Length: 2\r\n\r\n"), true),
        _ => (format!("{ok}Content-Length: 2\r\n\r\nok"), true),
    };
    let text = if number % 64 == 2 && !to_head {
        format!("{text}ok")
    } else {
        text
    };
    stream.write_all(text.as_bytes()).is_ok() && goes_on
}
