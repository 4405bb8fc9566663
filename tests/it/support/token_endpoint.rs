//! A server whose token endpoint says whatever a story wants; a business call
//! is answered `[]`.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{read_body, read_head, serve_each};

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
        serve_each(listener, move |stream| {
            let mut stream = BufReader::new(stream);
            let Some(head) = read_head(&mut stream) else {
                return;
            };
            if read_body(&head, &mut stream).is_none() {
                return;
            }
            if String::from_utf8_lossy(&head).contains("/oauth/access_token") {
                tokens.fetch_add(1, Ordering::Relaxed);
                reply(stream.get_mut());
            } else {
                calls.fetch_add(1, Ordering::Relaxed);
                let _ = stream.get_mut().write_all(&ok("[]"));
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
