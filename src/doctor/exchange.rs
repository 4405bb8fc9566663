//! One request of ours and what came back, bounded in time and in size.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, DATE, LOCATION, USER_AGENT};
use http::{HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full};

use super::reach::{self, Obstacle};
use crate::dqe::token_reply::read_http_date;
use crate::http1::Response;
use crate::upstream::{AnswerError, Client, Outgoing, UpstreamError};

/// Most of a body that is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// A request, its credential among `fields` or in `target` or `body`. Never shown.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Option<Bytes>,
}

/// What came back.
pub(super) struct Exchange {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// How far the server's clock is ahead of this machine's, in seconds.
    pub(super) clock: Option<i64>,
    /// Where it redirects to, as far as a person may see it: without a query.
    pub(super) location: Option<String>,
}

/// Why nothing whole came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// No connection.
    Unreached(Obstacle),
    /// Not in time.
    Silent(Duration),
    /// The connection ended first.
    Broken,
    /// What answers is no HTTP.
    NoHttp,
}

/// Sends a request on a connection of its own; waits `patience` for the whole answer.
pub(super) async fn exchange(
    client: &Rc<Client>,
    request: Request,
    patience: Duration,
) -> Result<Exchange, Unanswered> {
    let lease = reach::connect(client)
        .await
        .map_err(Unanswered::Unreached)?;
    let mut fields = vec![
        (
            USER_AGENT,
            HeaderValue::from_static(concat!("dqe-proxy/", env!("CARGO_PKG_VERSION"))),
        ),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ];
    fields.extend(request.fields);
    if let Some(body) = &request.body {
        fields.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
    }
    let exchanging = async {
        let answer = lease
            .send(Outgoing {
                method: &request.method,
                target: |out: &mut BytesMut| out.extend_from_slice(request.target.as_bytes()),
                fields: fields
                    .iter()
                    .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())),
                body: request.body.map(Full::new),
            })
            .await
            .map_err(|error| unanswered(&error))?;
        let Response { head, body } = answer;
        let field = |name: HeaderName| std::str::from_utf8(head.fields.get(name.as_str())?).ok();
        let clock = field(DATE).and_then(|date| ahead(date, SystemTime::now()));
        let location = field(LOCATION).map(shown_location);
        Ok(Exchange {
            status: head.status.as_u16(),
            clock,
            location,
            body: read(body).await?,
        })
    };
    tokio::time::timeout(patience, exchanging)
        .await
        .unwrap_or(Err(Unanswered::Silent(patience)))
}

async fn read<B>(mut body: B) -> Result<Vec<u8>, Unanswered>
where
    B: http_body::Body<Data = Bytes, Error = AnswerError> + Unpin,
{
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unanswered::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let room = LOOKED_AT.saturating_sub(read.len()).min(data.len());
        read.extend_from_slice(&data[..room]);
        if read.len() == LOOKED_AT {
            break;
        }
    }
    Ok(read)
}

fn unanswered(error: &UpstreamError) -> Unanswered {
    match error {
        UpstreamError::Invalid(_) | UpstreamError::SwitchedProtocols => Unanswered::NoHttp,
        UpstreamError::Full
        | UpstreamError::NoSocket(_)
        | UpstreamError::Resolve(_)
        | UpstreamError::Connect(_)
        | UpstreamError::Tls(_)
        | UpstreamError::NeverSent(_)
        | UpstreamError::Broken { .. }
        | UpstreamError::CallerBody => Unanswered::Broken,
    }
}

/// Seconds from `here` to the date in the answer; negative when it is behind.
fn ahead(date: &str, here: SystemTime) -> Option<i64> {
    let there = read_http_date(date)?;
    match there.duration_since(here) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok(),
        Err(behind) => i64::try_from(behind.duration().as_secs())
            .ok()
            .map(|seconds| -seconds),
    }
}

/// A location for people: no query, which may echo a credential, and nothing a terminal obeys.
fn shown_location(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    location[..end]
        .chars()
        .filter(|letter| !letter.is_control())
        .take(200)
        .collect()
}
