//! What to do after an attempt: values in, value out.

use http::StatusCode;

use crate::upstream::UpstreamError;

/// What is known when an attempt has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// Rejections of this request before this attempt.
    pub rejections: u8,
    /// Repeats after a broken connection before this attempt.
    pub repeats: u8,
    /// RFC 9110 §9.2.2: sending it twice means the same as sending it once.
    pub idempotent: bool,
    /// The route does something that must not happen twice.
    pub side_effects: bool,
    /// The whole body is still at hand.
    pub body_at_hand: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The answer goes to the caller.
    Deliver,
    /// The token was refused: get a newer one and send the request again.
    RenewAndReplay,
    /// The token was refused and nothing can be sent again: renew, and tell the caller.
    RenewAndFail,
    /// Send the same request on a new connection.
    Repeat,
    /// Tell the caller what went wrong.
    Fail,
}

/// Most repeats of one request on new connections.
const MOST_REPEATS: u8 = 1;

/// After an answer. A 401 says that the server did nothing, so any method may
/// be sent again, once; never on a route with side effects.
#[must_use]
pub(super) fn after_answer(status: StatusCode, situation: Situation) -> Decision {
    if status != StatusCode::UNAUTHORIZED {
        Decision::Deliver
    } else if situation.rejections == 0 && situation.body_at_hand && !situation.side_effects {
        Decision::RenewAndReplay
    } else {
        Decision::RenewAndFail
    }
}

/// After a failure. What never left may always be sent again; what may have
/// arrived only when a kept connection broke, which is most likely the
/// server's idle time-out, and the request is idempotent and harmless.
#[must_use]
pub(super) fn after_failure(error: &UpstreamError, situation: Situation) -> Decision {
    let may_repeat = situation.repeats < MOST_REPEATS;
    match error {
        UpstreamError::NeverSent(_) if may_repeat => Decision::Repeat,
        UpstreamError::Broken { reused: true, .. }
            if may_repeat
                && situation.idempotent
                && !situation.side_effects
                && situation.body_at_hand =>
        {
            Decision::Repeat
        }
        UpstreamError::NeverSent(_)
        | UpstreamError::Broken { .. }
        | UpstreamError::Resolve(_)
        | UpstreamError::Connect(_)
        | UpstreamError::Tls(_)
        | UpstreamError::Invalid(_)
        | UpstreamError::SwitchedProtocols
        | UpstreamError::CallerBody => Decision::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Situation = Situation {
        rejections: 0,
        repeats: 0,
        idempotent: true,
        side_effects: false,
        body_at_hand: true,
    };

    #[test]
    fn a_rejection_is_replayed_once_when_that_is_safe() {
        for (situation, expected) in [
            (PLAIN, Decision::RenewAndReplay),
            (
                Situation {
                    idempotent: false,
                    ..PLAIN
                },
                Decision::RenewAndReplay,
            ),
            (
                Situation {
                    repeats: 1,
                    ..PLAIN
                },
                Decision::RenewAndReplay,
            ),
            (
                Situation {
                    rejections: 1,
                    ..PLAIN
                },
                Decision::RenewAndFail,
            ),
            (
                Situation {
                    body_at_hand: false,
                    ..PLAIN
                },
                Decision::RenewAndFail,
            ),
            (
                Situation {
                    side_effects: true,
                    ..PLAIN
                },
                Decision::RenewAndFail,
            ),
        ] {
            assert_eq!(
                after_answer(StatusCode::UNAUTHORIZED, situation),
                expected,
                "{situation:?}"
            );
        }
    }

    #[test]
    fn every_other_status_is_the_callers() {
        for status in [200, 204, 301, 400, 403, 404, 407, 429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(after_answer(status, PLAIN), Decision::Deliver, "{status}");
        }
    }

    #[test]
    fn what_could_not_connect_is_told() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for error in [
            UpstreamError::Connect(refused()),
            UpstreamError::Resolve(refused()),
            UpstreamError::Tls(refused()),
        ] {
            assert_eq!(after_failure(&error, PLAIN), Decision::Fail);
        }
    }
}
