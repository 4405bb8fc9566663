//! `/status.json`: how each scope's token stands and what happened lately, for
//! programs and for people with curl. Fixed words, numbers and times only.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::HeaderValue;
use serde::Serialize;

use super::source::{TokenView, is_ready};
use super::{Answer, Source};
use crate::token::{Event, EventKind};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn answer(source: &dyn Source) -> Answer {
    let status = Status::new(source, SystemTime::now());
    match serde_json::to_string_pretty(&status) {
        Ok(text) => Answer {
            status: StatusCode::OK,
            content_type: JSON,
            body: (text + "\n").into(),
        },
        Err(_) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be encoded\n"),
    }
}

/// The whole document. Its names are a promise, as those of the metrics.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    time: String,
    started: String,
    ready: bool,
    draining: bool,
    /// In the order of DQE's page of scopes.
    tokens: Vec<Token>,
    /// The newest last.
    events: Vec<Line>,
}

impl Status {
    fn new(source: &dyn Source, now: SystemTime) -> Self {
        let (draining, tokens) = (source.is_draining(), source.tokens());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            time: rfc3339(now),
            started: rfc3339(source.started()),
            ready: is_ready(draining, &tokens),
            draining,
            tokens: tokens.iter().map(Token::new).collect(),
            events: source.token_events().iter().map(Line::new).collect(),
        }
    }
}

/// One scope's token.
#[derive(Serialize)]
struct Token {
    scope: &'static str,
    state: &'static str,
    seconds_to_expiry: Option<f64>,
    life_seconds: Option<f64>,
    generation: u64,
    next_renewal_seconds: f64,
    last_error: Option<LastError>,
    renewals: Vec<Renewals>,
    calls: u64,
    forced_renewals: u64,
    same_token: u64,
    renewer_restarts: u64,
    waits: u64,
    wait_seconds: f64,
}

impl Token {
    fn new(token: &TokenView) -> Self {
        let renewals = token.renewals.iter();
        Self {
            scope: token.scope,
            state: token.state.as_str(),
            seconds_to_expiry: token.seconds_to_expiry.map(rounded),
            life_seconds: token.life_seconds.map(rounded),
            generation: token.generation,
            next_renewal_seconds: rounded(token.next_renewal_seconds),
            last_error: token.last_error.map(|error| LastError {
                code: error.code,
                sentence: error.sentence,
            }),
            renewals: renewals
                .map(|renewals| Renewals {
                    outcome: renewals.outcome,
                    reason: renewals.reason,
                    count: renewals.count,
                })
                .collect(),
            calls: token.calls,
            forced_renewals: token.forced_renewals,
            same_token: token.same_token,
            renewer_restarts: token.restarts,
            waits: token.waits,
            wait_seconds: rounded(token.waited_seconds),
        }
    }
}

#[derive(Serialize)]
struct LastError {
    code: &'static str,
    sentence: &'static str,
}

#[derive(Serialize)]
struct Renewals {
    outcome: &'static str,
    reason: &'static str,
    count: u64,
}

/// One event.
#[derive(Serialize)]
struct Line {
    time: String,
    /// Null when it concerns all scopes.
    scope: Option<&'static str>,
    #[serde(flatten)]
    happened: Happened,
}

impl Line {
    fn new(event: &Event) -> Self {
        Self {
            time: rfc3339(event.at),
            scope: event.scope.map(|scope| scope.as_str()),
            happened: Happened::new(&event.kind),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Happened {
    Granted {
        generation: u64,
        life_seconds: f64,
        /// Null when there was no token before, or it had been rejected.
        slack_seconds: Option<f64>,
    },
    Repeated,
    Failed {
        code: &'static str,
        sentence: &'static str,
        next_try_seconds: f64,
    },
    Rejected {
        generation: u64,
    },
    Suspected {
        generation: u64,
    },
    Reloaded,
    Restarted,
}

impl Happened {
    fn new(kind: &EventKind) -> Self {
        match *kind {
            EventKind::Granted {
                generation,
                life,
                slack,
            } => Self::Granted {
                generation,
                life_seconds: seconds(life),
                slack_seconds: slack.map(seconds),
            },
            EventKind::Repeated => Self::Repeated,
            EventKind::Failed { reason, next_try } => Self::Failed {
                code: reason.as_str(),
                sentence: reason.sentence(),
                next_try_seconds: seconds(next_try),
            },
            EventKind::Rejected { generation } => Self::Rejected { generation },
            EventKind::Suspected { generation } => Self::Suspected { generation },
            EventKind::Reloaded => Self::Reloaded,
            EventKind::Restarted => Self::Restarted,
        }
    }
}

/// In UTC, to the millisecond.
fn rfc3339(time: SystemTime) -> String {
    // Only a clock beyond the year 9999 has no such form.
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

/// To the millisecond: nobody reads more.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::{Value, json};

    use super::super::testing::Fake;
    use super::*;

    fn shown(fake: &Fake) -> Value {
        let now = UNIX_EPOCH + Duration::from_millis(1_763_951_700_042);
        serde_json::to_value(Status::new(fake, now)).unwrap()
    }

    #[test]
    fn each_token_is_told_with_its_numbers_and_its_last_error() {
        let fake = Fake::new();
        let shown = shown(&fake);
        assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(shown["time"], "2025-11-24T02:35:00.042Z");
        assert_eq!(shown["started"], "2025-11-24T02:32:01.250Z");
        assert_eq!(
            shown["tokens"],
            json!([
                {
                    "scope": "client_address",
                    "state": "fresh",
                    "seconds_to_expiry": 142.5,
                    "life_seconds": 300.0,
                    "generation": 7,
                    "next_renewal_seconds": 12.063,
                    "last_error": null,
                    "renewals": [
                        {"outcome": "granted", "reason": "", "count": 7},
                        {"outcome": "transient", "reason": "timed_out", "count": 2},
                    ],
                    "calls": 10,
                    "forced_renewals": 1,
                    "same_token": 4,
                    "renewer_restarts": 0,
                    "waits": 3,
                    "wait_seconds": 0.25,
                },
                {
                    "scope": "client_phone",
                    "state": "refused",
                    "seconds_to_expiry": null,
                    "life_seconds": null,
                    "generation": 0,
                    "next_renewal_seconds": 60.0,
                    "last_error": {
                        "code": "unauthorized_scope",
                        "sentence": "DQE grants no such scope",
                    },
                    "renewals": [
                        {"outcome": "permanent", "reason": "unauthorized_scope", "count": 3},
                    ],
                    "calls": 0,
                    "forced_renewals": 0,
                    "same_token": 0,
                    "renewer_restarts": 0,
                    "waits": 0,
                    "wait_seconds": 0.0,
                },
            ])
        );
    }

    #[test]
    fn every_kind_of_event_is_told_newest_last() {
        let told = shown(&Fake::new());
        let address = "client_address";
        assert_eq!(
            told["events"],
            json!([
                {"time": "2025-11-24T02:33:20.500Z", "scope": null, "event": "reloaded"},
                {
                    "time": "2025-11-24T02:33:21.500Z", "scope": address, "event": "granted",
                    "generation": 7, "life_seconds": 300.0, "slack_seconds": 150.0,
                },
                {
                    "time": "2025-11-24T02:33:22.500Z", "scope": "client_phone", "event": "granted",
                    "generation": 1, "life_seconds": 2.0, "slack_seconds": null,
                },
                {"time": "2025-11-24T02:33:23.500Z", "scope": address, "event": "repeated"},
                {
                    "time": "2025-11-24T02:33:24.500Z", "scope": address, "event": "failed",
                    "code": "timed_out",
                    "sentence": "the token endpoint did not answer in time",
                    "next_try_seconds": 1.235,
                },
                {
                    "time": "2025-11-24T02:33:25.500Z", "scope": address, "event": "rejected",
                    "generation": 7,
                },
                {
                    "time": "2025-11-24T02:33:26.500Z", "scope": address, "event": "suspected",
                    "generation": 8,
                },
                {"time": "2025-11-24T02:33:27.500Z", "scope": address, "event": "restarted"},
            ])
        );
    }

    #[test]
    fn a_proxy_that_drains_says_so_and_is_not_ready() {
        let fake = Fake::new();
        let before = shown(&fake);
        assert_eq!(
            (&before["ready"], &before["draining"]),
            (&json!(true), &json!(false))
        );
        fake.drain();
        let after = shown(&fake);
        assert_eq!(
            (&after["ready"], &after["draining"]),
            (&json!(false), &json!(true))
        );
    }
}
