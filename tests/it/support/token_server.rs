//! A token endpoint of its own: each call is answered with the bytes the story
//! says, and kept.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::read_body;

/// One call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct TokenCall {
    /// `POST /oauth/access_token/ HTTP/1.1`.
    pub(crate) line: String,
    /// The body as sent.
    pub(crate) form: String,
}

impl TokenCall {
    /// Whether the form or the query holds this pair, as it is encoded.
    pub(crate) fn has(&self, pair: &str) -> bool {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .chain(self.form.split('&'))
            .any(|other| other == pair)
    }
}

/// The server; its threads end with the test.
#[derive(Clone)]
pub(crate) struct TokenServer {
    url: String,
    calls: Arc<Mutex<Vec<TokenCall>>>,
}

impl TokenServer {
    /// Answers each call with the bytes `script` gives and closes; without
    /// bytes the call is left without an answer.
    #[must_use]
    pub(crate) fn start(
        script: impl Fn(&TokenCall) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            calls: Arc::default(),
        };
        let (calls, script) = (Arc::clone(&server.calls), Arc::new(script));
        std::thread::spawn(move || {
            let mut unanswered = Vec::new();
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                let Some(call) = read_call(&mut stream) else {
                    continue;
                };
                calls.lock().unwrap().push(call.clone());
                match script(&call) {
                    Some(answer) => {
                        let _ = stream.get_mut().write_all(&answer);
                    }
                    None => unanswered.push(stream),
                }
            }
        });
        server
    }

    /// Answers every call with this status and this body.
    #[must_use]
    pub(crate) fn answering(status: &str, body: &str) -> Self {
        let answer = answer(status, "", body);
        Self::start(move |_| Some(answer.clone()))
    }

    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub(crate) fn calls(&self) -> Vec<TokenCall> {
        self.calls.lock().unwrap().clone()
    }
}

/// A whole answer; `fields` are header lines, each with its CRLF.
#[must_use]
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// DQE's documented success.
#[must_use]
pub(crate) fn granted() -> Vec<u8> {
    let body = r#"{"access_token":"TK-of-the-story","token_type":"Bearer","expires_in":"300","refresh_token":"*TK"}"#;
    answer("200 OK", "", body)
}

fn read_call(stream: &mut BufReader<TcpStream>) -> Option<TokenCall> {
    // What is no text, as a handshake of TLS, is hung up on at once.
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let form = read_body(head.as_bytes(), stream)?;
    Some(TokenCall {
        line: head.lines().next()?.to_owned(),
        form: String::from_utf8(form).ok()?,
    })
}
