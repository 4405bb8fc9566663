//! One case: what a caller sends, what then reaches the server, byte for byte,
//! and what the caller gets.

use crate::support::{After, Reaction, Recorded, TOKEN, When};

/// Stands in every query; to be found in no log.
pub(super) const VALUE: &str = "V4LU3";
/// The target of most cases.
pub(super) const TARGET: &str = "/TEL/?q=V4LU3";

/// What a caller does, in order.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Send(Vec<u8>),
    /// Sends so that it arrives apart from what was sent before.
    Apart(Vec<u8>),
    /// Reads until this is the end of all that has come.
    Await(&'static str),
    /// Closes its sending side.
    HalfClose,
}

/// What is to reach the server.
#[derive(Clone, Debug)]
pub(super) enum Reached {
    /// This request and no other byte.
    Exactly { head: String, body: Vec<u8> },
    /// Nothing, or the beginning of a request that the server cannot take for whole.
    NeverWhole,
}

/// How the caller's connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It carries another request.
    Kept,
    /// The proxy closes it in order.
    Closed,
    /// The proxy resets it.
    Reset,
}

/// An answer the caller is to get.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) body: Option<Vec<u8>>,
    pub(super) whole: bool,
    /// Fields with their value, joined by ", "; `None` is to be absent.
    pub(super) fields: Vec<(&'static str, Option<&'static str>)>,
    /// The status line and then every field, letter by letter, in any order. `NOW`
    /// stands for the present time, `ID` for a request id that the proxy gave.
    pub(super) lines: Option<Vec<&'static str>>,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) clause: &'static str,
    pub(super) pieces: Vec<Piece>,
    pub(super) reaction: Reaction,
    pub(super) reaches: Vec<Reached>,
    pub(super) gets: Vec<Got>,
    pub(super) ends: Ends,
    /// Whether the connection to the server is to be used again; `None` is either.
    pub(super) server_kept: Option<bool>,
    /// Said by the server after the answer has reached the caller.
    pub(super) unasked: Option<&'static str>,
}

/// A case in which nothing is forwarded and nothing answered; the rest is told
/// by the methods.
pub(super) fn case(
    name: impl Into<String>,
    clause: &'static str,
    sent: impl Into<Vec<u8>>,
) -> Case {
    Case {
        name: name.into(),
        clause,
        pieces: vec![Piece::Send(sent.into())],
        reaction: Reaction::default(),
        reaches: Vec::new(),
        gets: Vec::new(),
        ends: Ends::Closed,
        server_kept: None,
        unasked: None,
    }
}

impl Case {
    pub(super) fn then(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    /// What is sent, in these pieces.
    pub(super) fn in_pieces<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let pieces = pieces.into_iter().map(<[u8]>::to_vec);
        self.pieces = pieces.map(Piece::Apart).collect();
        self
    }

    pub(super) fn then_sends(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Piece::Send(bytes.into()))
    }

    pub(super) fn reaches(mut self, reached: Reached) -> Self {
        self.reaches.push(reached);
        self
    }

    /// An answer with this status; a 200 is the recorder's, whole.
    pub(super) fn gets(mut self, status: u16) -> Self {
        self.gets.push(Got {
            status,
            body: (status == 200).then(|| b"ok".to_vec()),
            whole: true,
            fields: Vec::new(),
            lines: None,
        });
        self
    }

    fn last(&mut self) -> &mut Got {
        self.gets.last_mut().expect("an answer was named before")
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.last().body = Some(body.into());
        self
    }

    pub(super) fn cut(mut self) -> Self {
        self.last().whole = false;
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.last().fields.push((name, Some(value)));
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.last().fields.push((name, None));
        self
    }

    pub(super) fn lines(mut self, lines: &[&'static str]) -> Self {
        self.last().lines = Some(lines.to_vec());
        self
    }

    pub(super) fn kept(mut self) -> Self {
        self.ends = Ends::Kept;
        self
    }

    pub(super) fn reset(mut self) -> Self {
        self.ends = Ends::Reset;
        self
    }

    pub(super) fn says(mut self, answer: impl Into<Vec<u8>>) -> Self {
        self.reaction.pieces = vec![answer.into()];
        self
    }

    pub(super) fn says_at_last(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.reaction.last = bytes.into();
        self
    }

    pub(super) fn says_in_pieces(mut self, pieces: Vec<Vec<u8>>) -> Self {
        self.reaction.pieces = pieces;
        self
    }

    pub(super) fn early(mut self) -> Self {
        self.reaction.when = When::Head;
        self
    }

    pub(super) fn after(mut self, after: After) -> Self {
        self.reaction.after = after;
        self
    }

    pub(super) fn server_kept(mut self, kept: bool) -> Self {
        self.server_kept = Some(kept);
        self
    }

    pub(super) fn unasked(mut self, bytes: &'static str) -> Self {
        self.unasked = Some(bytes);
        self
    }
}

/// A request as the server is to see it: the caller's line and fields between
/// what the proxy sets. `HOST` and `ID` stand for what changes from run to run.
pub(super) fn forwarded(line: &str, fields: &str) -> Reached {
    forwarded_as(line, fields, "1.1", "client_phone")
}

pub(super) fn forwarded_as(line: &str, fields: &str, version: &str, scope: &str) -> Reached {
    Reached::Exactly {
        head: format!(
            "{line} HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer {TOKEN}{scope}\r\n{fields}\
             via: {version} dqe-proxy\r\nx-request-id: ID\r\n\r\n"
        ),
        body: Vec::new(),
    }
}

impl Reached {
    /// With a body of known length, whose field is among those given.
    pub(super) fn with(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Exactly { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    /// With the length that a server may insist on (RFC 9110 §8.6).
    pub(super) fn with_no_body(mut self) -> Self {
        if let Self::Exactly { head, .. } = &mut self {
            head.truncate(head.len() - 2);
            head.push_str("content-length: 0\r\n\r\n");
        }
        self
    }

    /// With a body in chunks.
    pub(super) fn chunked(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Exactly { head, body } = &mut self {
            head.truncate(head.len() - 2);
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            *body = bytes.into();
        }
        self
    }

    /// What is not as expected, if anything.
    pub(super) fn mismatch(&self, call: &Recorded, authority: &str) -> Option<String> {
        match self {
            Self::NeverWhole => call.whole.then(|| "a whole request arrived".to_owned()),
            Self::Exactly { head, body } => {
                let seen = with_id_hidden(&call.head);
                let head = head.replace("HOST", authority);
                if seen != head.as_bytes() {
                    return Some(format!("the head was to be {head:?}"));
                }
                if !call.whole {
                    return Some("the request is not whole".to_owned());
                }
                (call.body != *body).then(|| format!("the body was to be {:?}", shown(body)))
            }
        }
    }
}

/// `head` with `ID` in place of a request id that the proxy gave.
fn with_id_hidden(head: &[u8]) -> Vec<u8> {
    let name = b"x-request-id: ";
    let Some(start) = head.windows(name.len()).position(|part| part == name) else {
        return head.to_vec();
    };
    let start = start + name.len();
    let length = head[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if length != 32 {
        return head.to_vec();
    }
    [&head[..start], b"ID", &head[start + length..]].concat()
}

/// Bytes for a reader, the long middle left out.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 600;
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 2 * MOST {
        return text;
    }
    format!(
        "{} …{} bytes in all… {}",
        &text[..MOST],
        bytes.len(),
        &text[text.len() - MOST..]
    )
}
