//! What to do after an attempt: values in, value out.

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

/// What an answer says about the token it was asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing against it.
    Accepted,
    /// It looks as if the token were dead; an honest empty result looks the same.
    Doubted,
    /// The token was refused: status 401, or a body that says so.
    Refused,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The answer goes to the caller.
    Deliver,
    /// The token was refused: get a newer one and send the request again.
    RenewAndReplay,
    /// The token may be dead: send the request again if a newer one can be had,
    /// and deliver this answer if not.
    ReplayIfRenewed,
    /// The token was refused and nothing can be sent again: renew, and tell the caller.
    RenewAndFail,
    /// Send the same request on a new connection.
    Repeat,
    /// Tell the caller what went wrong.
    Fail,
}

/// Most repeats of one request on new connections.
const MOST_REPEATS: u8 = 1;

/// After an answer. A refusal says that the server did nothing, so any method
/// may be sent again, once; never on a route with side effects. A doubt counts
/// only when the token `is_doubtful` in itself: past its renewal point, or the
/// clocks disagree about its age.
#[must_use]
pub(super) fn after_answer(sign: Sign, is_doubtful: bool, situation: Situation) -> Decision {
    let may_replay = situation.rejections == 0 && situation.body_at_hand && !situation.side_effects;
    match sign {
        Sign::Accepted => Decision::Deliver,
        Sign::Doubted if is_doubtful && may_replay => Decision::ReplayIfRenewed,
        Sign::Doubted => Decision::Deliver,
        Sign::Refused if may_replay => Decision::RenewAndReplay,
        Sign::Refused => Decision::RenewAndFail,
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
        | UpstreamError::Full
        | UpstreamError::NoSocket(_)
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
            for is_doubtful in [false, true] {
                let decision = after_answer(Sign::Refused, is_doubtful, situation);
                assert_eq!(decision, expected, "{situation:?}");
            }
            let doubted = if expected == Decision::RenewAndReplay {
                Decision::ReplayIfRenewed
            } else {
                Decision::Deliver
            };
            assert_eq!(after_answer(Sign::Doubted, true, situation), doubted);
            for (sign, is_doubtful) in [
                (Sign::Doubted, false),
                (Sign::Accepted, false),
                (Sign::Accepted, true),
            ] {
                let decision = after_answer(sign, is_doubtful, situation);
                assert_eq!(decision, Decision::Deliver, "{situation:?}");
            }
        }
    }

    #[test]
    fn what_could_not_connect_is_told() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for error in [
            UpstreamError::Full,
            UpstreamError::NoSocket(refused()),
            UpstreamError::Connect(refused()),
            UpstreamError::Resolve(refused()),
            UpstreamError::Tls(refused()),
        ] {
            assert_eq!(after_failure(&error, PLAIN), Decision::Fail);
        }
    }
}
