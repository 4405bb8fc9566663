//! How an answer is put on the wire, whole or spoilt. Pure.

use super::fault::Kind;
use super::message::Answer;

/// What becomes of the connection after a request.
pub(crate) enum Next {
    KeepOpen,
    Close,
    Reset,
}

/// How much of an answer is announced and sent, and what follows.
pub(crate) struct Delivery {
    pub(crate) announced: usize,
    pub(crate) sent: usize,
    pub(crate) next: Next,
}

impl Delivery {
    /// Decides from the fault, the body's length and whether the connection may stay open.
    pub(crate) fn of(decisive: Option<&Kind>, length: usize, keep_open: bool) -> Self {
        let (announced, sent, next) = match decisive {
            Some(Kind::ResetAfterHead) => (length + 1, length / 2, Next::Reset),
            Some(Kind::CutBody) => (length + 100, length / 2, Next::Close),
            Some(Kind::WrongContentLength { larger: true }) => (length + 7, length, Next::Close),
            Some(Kind::WrongContentLength { larger: false }) => {
                // On a connection that stays open, what lies beyond the announced length is there
                // to be taken for the next answer.
                let next = if keep_open {
                    Next::KeepOpen
                } else {
                    Next::Close
                };
                (length.saturating_sub(7), length, next)
            }
            Some(Kind::CloseAfterAnswer) => (length, length, Next::Close),
            _ if keep_open => (length, length, Next::KeepOpen),
            _ => (length, length, Next::Close),
        };
        Self {
            announced,
            sent,
            next,
        }
    }

    /// Whether the body travels whole and under its own length.
    pub(crate) fn is_exact(&self, answer: &Answer) -> bool {
        self.announced == answer.body.len() && self.sent == answer.body.len()
    }
}

/// Two chunks, so that whoever joins them wrongly is found out.
pub(crate) fn append_chunked(bytes: &mut Vec<u8>, body: &[u8]) {
    let (first, second) = body.split_at(body.len() / 2);
    for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
}
