//! Makes calls: most of them whole, with everything a hostile caller puts in,
//! and now and then one with damaged bytes.

use std::fmt::Write;

use super::random::Random;

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "FOO",
    "TRACE",
];
/// Paths of the catalogue, and paths that must reach nobody.
const PATHS: &[&str] = &[
    "/TEL/",
    "/TEL/",
    "/tel",
    "/v1/TEL/",
    "/RNVP/",
    "/v1/email/lookup",
    "/SINGLE/",
    "http://other.example/TEL/",
    "/oauth/access_token/",
    "/%6fauth/access_token/",
    "/v1/../oauth/access_token/",
    "//TEL/",
    "/TEL/..",
    "/x%2fTEL/",
    "/TEL;/",
    "*",
    "/nowhere",
];
const FIELDS: &[&str] = &[
    "Authorization: Bearer theirs",
    "Authorization: Basic eA==",
    "authorization: x",
    "Cookie: a=1",
    "Proxy-Authorization: Basic eA==",
    "Connection: keep-alive",
    "Connection: authorization",
    "Connection: host, via, x-a",
    "Connection: content-length",
    "Connection: transfer-encoding",
    "X-A: 1",
    "X-A: caf\u{e9}",
    "Accept: */*",
    "X-Forwarded-For: 10.1.2.3",
    "Forwarded: for=x",
    "Via: 1.1 inner",
    "TE: trailers",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Keep-Alive: timeout=5",
    "X-Request-Id: own",
    "Max-Forwards: 1",
    "X-Empty:",
    "Trailer: X-Sum",
    "X-HTTP-Method-Override: DELETE",
];
/// Fields that must get a call refused.
const REFUSED: &[&str] = &[
    "Host: second",
    "Content-Length: 5, 5",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding : chunked",
    "Content-Length: +1",
    "X-A: a\r\n folded",
    "Via: 1.1 dqe-proxy",
    "Transfer-Encoding: chunked, identity",
];
const INNER: &str = "GET /TEL/?inner HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer theirs\r\n\r\n";
const DAMAGE: &[&str] = &[
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\r\nHost: y",
    "\r\nAuthorization: Bearer theirs",
    "\r\nContent-Length: 3",
    "\r\nTransfer-Encoding: chunked",
    "%",
    "\u{e9}",
    "0",
    "HTTP/1.1",
    "\u{7f}",
    "#",
    "..",
];

/// One call of the connection `name`.
pub(super) fn call(random: &mut Random, name: &str) -> Vec<u8> {
    let method = random.pick(METHODS);
    let paths = if random.one_in(3) { PATHS } else { &PATHS[..7] };
    let path = random.pick(paths);
    let query = random.pick(&[
        "",
        "&a=%2540",
        "&a=+|%7C%E9",
        "&Licence=x",
        "&LICENCE=",
        "&a=b?c/d",
        "&a=\u{e9}",
    ]);
    let mut call = format!(
        "{method} {path}?id={name}-{}{query} HTTP/1.1\r\nHost: x\r\n",
        random.below(1_000_000)
    );
    for _ in 0..random.below(5) {
        let field = random.pick(FIELDS);
        let _ = write!(call, "{field}\r\n");
    }
    if random.one_in(60) {
        let _ = write!(call, "{}\r\n", random.pick(REFUSED));
    }
    let body = random.pick(&["", "a", "Tel=06&Pays=FRA", INNER, "0\r\n\r\n", "\0\r\n"]);
    match random.below(if matches!(method, "POST" | "PUT" | "PATCH") {
        3
    } else {
        12
    }) {
        0 => {
            let _ = write!(call, "Content-Length: {}\r\n\r\n{body}", body.len());
        }
        1 => {
            call.push_str("Transfer-Encoding: chunked\r\n\r\n");
            chunks(random, body, &mut call);
        }
        _ => call.push_str("\r\n"),
    }
    let mut call = call.into_bytes();
    if random.one_in(40) {
        damage(random, &mut call);
    }
    call
}

fn chunks(random: &mut Random, body: &str, out: &mut String) {
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(1 + random.place(rest.len()));
        let _ = write!(
            out,
            "{:x}{}\r\n{chunk}\r\n",
            chunk.len(),
            random.pick(&["", "", ";a=b"])
        );
        rest = left;
    }
    let _ = write!(
        out,
        "0\r\n{}\r\n",
        random.pick(&["", "", "X-Sum: 1\r\n", "Authorization: x\r\n"])
    );
}

fn damage(random: &mut Random, call: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.place(call.len());
        match random.below(5) {
            0 => {
                call.remove(at);
            }
            1 => call[at] ^= 1 << random.below(8),
            2 => {
                let from = random.place(call.len());
                let length = random.place(30).min(call.len() - from);
                let again = call[from..from + length].to_vec();
                call.splice(at..at, again);
            }
            _ => {
                call.splice(at..at, random.pick(DAMAGE).bytes());
            }
        }
    }
}
