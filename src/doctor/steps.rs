//! Steps in words, for whoever reads along.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::exchange::Unanswered;
use super::observation::{Answer, Called, Reached, TokenAnswer};
use super::reach::Obstacle;
use super::report::{Step, Verdict};
use super::sample::Meaning;
use crate::dqe::Carriage;
use crate::upstream::Server;

pub(super) fn name_step(reached: &Reached, took: Duration) -> Step {
    let (verdict, says) = match &reached.addresses {
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            (Verdict::Good, list.join(", "))
        }
        Err(obstacle) => (Verdict::Bad, obstacle.to_string()),
    };
    Step {
        stage: "name",
        subject: reached.host.clone(),
        verdict,
        says,
        took: Some(took),
    }
}

pub(super) fn connect_step(
    server: &Server,
    connected: &Result<Duration, Obstacle>,
    took: Duration,
) -> Step {
    let (verdict, says) = match connected {
        Ok(_) if server.tls_name().is_some() => (
            Verdict::Good,
            "connected, the certificate is trusted".to_owned(),
        ),
        Ok(_) => (Verdict::Good, "connected, plain HTTP".to_owned()),
        Err(obstacle) => (Verdict::Bad, obstacle.to_string()),
    };
    Step {
        stage: "connect",
        subject: format!("{}:{}", server.host(), server.port()),
        verdict,
        says,
        took: Some(took),
    }
}

pub(super) fn http_step(
    server: &Server,
    answered: &Result<u16, Unanswered>,
    took: Duration,
) -> Step {
    let (verdict, says) = match answered {
        // Whatever it says to a request for nothing: it speaks HTTP.
        Ok(_) => (Verdict::Good, "speaks HTTP".to_owned()),
        Err(failed) => (Verdict::Bad, failed.to_string()),
    };
    Step {
        stage: "http",
        subject: format!("{}:{}", server.host(), server.port()),
        verdict,
        says,
        took: Some(took),
    }
}

pub(super) fn token_step(scope: &str, answer: &TokenAnswer, took: Duration) -> Step {
    let (verdict, says) = match answer {
        TokenAnswer::Granted {
            life,
            life_was_assumed,
            ..
        } => {
            let assumed = if *life_was_assumed {
                " (assumed: the reply does not say)"
            } else {
                ""
            };
            let life = life.as_secs();
            (Verdict::Good, format!("granted, lives {life} s{assumed}"))
        }
        TokenAnswer::Refused { reason, detail } => {
            let detail = detail.as_deref().map(|detail| format!(" ({detail})"));
            (
                Verdict::Bad,
                format!("{}{}", reason.sentence(), detail.unwrap_or_default()),
            )
        }
        TokenAnswer::Impossible(why) => (Verdict::Bad, why.clone()),
        TokenAnswer::NotAsked => (Verdict::Skipped, String::new()),
    };
    Step {
        stage: "token",
        subject: scope.to_owned(),
        verdict,
        says,
        took: Some(took),
    }
}

pub(super) fn call_step(called: &Called) -> Step {
    let says: Vec<String> = Carriage::ALL
        .into_iter()
        .zip(&called.answers)
        .map(|(carriage, answer)| format!("{carriage}: {answer}"))
        .collect();
    let is_taken = called.is_taken(called.planned.carriage);
    Step {
        stage: "call",
        subject: called.planned.sample.path.to_owned(),
        verdict: if is_taken {
            Verdict::Good
        } else {
            Verdict::Bad
        },
        says: says.join(" · "),
        took: Some(called.took),
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => write!(f, "the name is not resolved ({why})"),
            Self::ResolverSilent => f.write_str("the resolver does not answer"),
            Self::Refused => f.write_str("the connection is refused"),
            Self::Network(why) => write!(f, "no connection ({why})"),
            Self::Silent(patience) => write!(f, "no connection within {}", shown(*patience)),
            Self::TlsSilent(patience) => {
                write!(
                    f,
                    "connected, and no TLS answer within {}",
                    shown(*patience)
                )
            }
            Self::UnknownAuthority => f.write_str("the certificate's authority is not trusted"),
            Self::WrongName => f.write_str("the certificate is for another name"),
            Self::Expired => f.write_str("the certificate has expired"),
            Self::NotYetValid => f.write_str("the certificate is not valid yet"),
            Self::NoTls => f.write_str("what answers does not speak TLS"),
            Self::Tls(why) => write!(f, "the TLS handshake fails ({why})"),
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(obstacle) => obstacle.fmt(f),
            Self::Silent(patience) => write!(f, "no answer within {}", shown(*patience)),
            Self::Broken => f.write_str("the connection breaks off"),
            Self::NoHttp => f.write_str("what answers does not speak HTTP"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meant(meaning) => meaning.fmt(f),
            Self::Failed(failed) => failed.fmt(f),
        }
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("ok"),
            Self::Refused(how) => write!(f, "refused ({how})"),
            Self::Nothing => f.write_str("refused (answers nothing)"),
            Self::NoSuchPath => f.write_str("no such path (404)"),
            Self::Page => f.write_str("no JSON, perhaps a web page"),
            Self::Redirect => f.write_str("a redirect"),
            Self::Throttled => f.write_str("too many calls (429)"),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// A span as people say it.
pub(super) fn shown(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{} ms", span.as_millis())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}
