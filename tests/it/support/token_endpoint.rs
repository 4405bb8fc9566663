//! A server whose token endpoint says whatever a story wants; a business call
//! is answered `[]`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The server; its threads end with the test.
pub(crate) struct TokenEndpoint {
    url: String,
    token_requests: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl TokenEndpoint {
    /// `reply` writes the answer to each token request.
    #[must_use]
    pub(crate) fn start(reply: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            token_requests: Arc::default(),
            calls: Arc::default(),
        };
        let (tokens, calls) = (
            Arc::clone(&server.token_requests),
            Arc::clone(&server.calls),
        );
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tokens, calls) = (Arc::clone(&tokens), Arc::clone(&calls));
                let reply = Arc::clone(&reply);
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let Some(head) = read_request(&mut stream) else {
                        return;
                    };
                    if head.contains("/oauth/access_token") {
                        tokens.fetch_add(1, Ordering::Relaxed);
                        reply(stream.get_mut());
                    } else {
                        calls.fetch_add(1, Ordering::Relaxed);
                        let _ = stream.get_mut().write_all(&ok("[]"));
                    }
                });
            }
        });
        server
    }

    /// Answers each token request 200 with this body.
    #[must_use]
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::start(move |stream| {
            let _ = stream.write_all(&ok(body));
        })
    }

    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub(crate) fn token_requests(&self) -> usize {
        self.token_requests.load(Ordering::Relaxed)
    }

    #[must_use]
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}
