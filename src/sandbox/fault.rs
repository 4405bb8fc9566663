//! Faults: what goes wrong, for which requests, how often. Their text is read in
//! `fault_grammar`.

use std::time::Duration;

use super::fault_grammar::{self, FaultError};
use super::random::Random;
use super::scope::Scope;
use super::token_endpoint::Outcome;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Slow(Duration),
    Hang,
    Reset,
    ResetAfterHead,
    CutBody,
    Status {
        code: u16,
        retry_after: Option<u64>,
    },
    /// 302 to this place.
    Redirect(String),
    Garbage,
    Html200,
    Empty200,
    TruncatedJson,
    Revoke(Option<Scope>),
    RefuseScope(Scope),
    /// The token endpoint refuses in the words of its documentation.
    Refuse(Outcome),
    WrongContentLength {
        larger: bool,
    },
    Unauthorized,
    WrongAnswer,
    EarlyAnswer,
    CloseAfterAnswer,
    LoseReply(Loss),
    /// One of these, drawn anew for each request it hits.
    AnyOf(Vec<Self>),
}

/// How a reply that was computed, with all it entails, is lost on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Reset,
    Stall,
    Empty,
    Html,
    Status500,
}

impl Kind {
    /// The word it is counted under.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::ResetAfterHead => "reset-after-head",
            Self::CutBody => "cut-body",
            Self::Status { .. } => "status",
            Self::Redirect(_) => "redirect",
            Self::Garbage => "garbage",
            Self::Html200 => "html-200",
            Self::Empty200 => "empty-200",
            Self::TruncatedJson => "truncated-json",
            Self::Revoke(_) => "revoke",
            Self::RefuseScope(_) => "refuse-scope",
            Self::Refuse(_) => "refuse",
            Self::WrongContentLength { .. } => "wrong-content-length",
            Self::Unauthorized => "unauthorized",
            Self::WrongAnswer => "wrong-answer",
            Self::EarlyAnswer => "early-answer",
            Self::CloseAfterAnswer => "close-after-answer",
            Self::LoseReply(Loss::Reset) => "lose-reply-reset",
            Self::LoseReply(Loss::Stall) => "lose-reply-stall",
            Self::LoseReply(Loss::Empty) => "lose-reply-empty",
            Self::LoseReply(Loss::Html) => "lose-reply-html",
            Self::LoseReply(Loss::Status500) => "lose-reply-500",
            Self::AnyOf(_) => "any-of",
        }
    }
}

/// A fault that hits a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) kind: Kind,
    /// The fault as it was written; of an `any-of`, the alternative it came down to as well.
    pub(crate) name: String,
}

/// What a fault looks at to decide whether a request is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'request> {
    pub(crate) token_endpoint: bool,
    pub(crate) path: &'request [u8],
    pub(crate) scope: Option<Scope>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    Token,
    Business,
    Any,
    Path(String),
    Scope(Scope),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) targets: Vec<Target>,
    pub(crate) kind: Kind,
    pub(crate) times: Option<u64>,
    pub(crate) after: u64,
    pub(crate) probability: f64,
}

/// A fault that is set, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetFault {
    /// The number to clear it by.
    pub id: u64,
    /// The text it was set with.
    pub text: String,
    /// How many requests it hit.
    pub hits: u64,
}

#[derive(Debug)]
struct Active {
    shown: SetFault,
    fault: Fault,
    seen: u64,
}

/// The faults that are set.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Vec<Active>,
    next_id: u64,
    random: Random,
}

impl Faults {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            active: Vec::new(),
            next_id: 1,
            random,
        }
    }

    /// Sets a fault; answers the number to clear it by.
    pub(crate) fn set(&mut self, text: &str) -> Result<u64, FaultError> {
        let fault = fault_grammar::parse(text)?;
        let id = self.next_id;
        self.next_id += 1;
        self.active.push(Active {
            shown: SetFault {
                id,
                text: text.to_owned(),
                hits: 0,
            },
            fault,
            seen: 0,
        });
        Ok(id)
    }

    /// Takes a fault away; whether it was there.
    pub(crate) fn clear(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.shown.id != id);
        self.active.len() < before
    }

    pub(crate) fn clear_all(&mut self) {
        self.active.clear();
    }

    pub(crate) fn list(&self) -> Vec<SetFault> {
        self.active
            .iter()
            .map(|active| active.shown.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether some `early-answer` is set: it has to be decided before the body is read.
    pub(crate) fn has_early_answer(&self) -> bool {
        self.active
            .iter()
            .any(|active| active.fault.kind == Kind::EarlyAnswer)
    }

    /// Draws the faults that hit this request, in the order they were set. `early` asks for
    /// `early-answer` alone, its absence for all the others.
    pub(crate) fn draw(&mut self, subject: Subject<'_>, early: bool) -> Vec<Drawn> {
        let mut drawn = Vec::new();
        for active in &mut self.active {
            let fault = &active.fault;
            if (fault.kind == Kind::EarlyAnswer) != early
                || !fault.targets.iter().all(|target| target.holds(subject))
                || fault.times.is_some_and(|times| active.shown.hits >= times)
            {
                continue;
            }
            active.seen += 1;
            if active.seen <= fault.after || !self.random.happens(fault.probability) {
                continue;
            }
            active.shown.hits += 1;
            let text = &active.shown.text;
            drawn.push(match &fault.kind {
                Kind::AnyOf(kinds) => {
                    let Some(kind) = self.random.one_of(kinds) else {
                        continue;
                    };
                    Drawn {
                        name: format!("{text} → {}", kind.label()),
                        kind: kind.clone(),
                    }
                }
                kind => Drawn {
                    kind: kind.clone(),
                    name: text.clone(),
                },
            });
        }
        drawn
    }
}

impl Target {
    fn holds(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::Token => subject.token_endpoint,
            Self::Business => !subject.token_endpoint,
            Self::Any => true,
            Self::Path(path) => {
                trim_slash(subject.path).eq_ignore_ascii_case(trim_slash(path.as_bytes()))
            }
            Self::Scope(scope) => subject.scope == Some(*scope),
        }
    }
}

fn trim_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &str, subject: Subject<'_>, draws: usize) -> usize {
        let mut faults = Faults::new(Random::seeded(Some(1)));
        faults.set(text).unwrap();
        (0..draws)
            .filter(|_| !faults.draw(subject, false).is_empty())
            .count()
    }

    const TEL: Subject<'_> = Subject {
        token_endpoint: false,
        path: b"/tel",
        scope: Some(Scope::Phone),
    };
    const TOKEN: Subject<'_> = Subject {
        token_endpoint: true,
        path: b"/oauth/access_token/",
        scope: Some(Scope::B2b),
    };

    #[test]
    fn a_fault_hits_its_target_only_and_as_often_as_told() {
        for (text, subject, expected) in [
            ("token:status=503,retry-after=2,times=3", TOKEN, 3),
            ("token:status=503,retry-after=2,times=3", TEL, 0),
            ("business:slow=200ms", TEL, 10),
            ("path=/TEL/:reset", TEL, 10),
            ("path=/CP/:reset", TEL, 0),
            ("scope=client_phone:hang,after=4", TEL, 6),
            ("token&scope=client_b2b:garbage", TOKEN, 10),
            ("token&scope=client_phone:garbage", TOKEN, 0),
            ("any:empty-200,probability=0", TEL, 0),
            ("refuse-scope=client_b2b", TOKEN, 10),
            ("hang", TOKEN, 0),
            ("early-answer", TEL, 0),
            ("token:any-of=reset|hang|status=500", TOKEN, 10),
            ("token:any-of=reset|hang,times=4", TOKEN, 4),
            ("token:lose-reply=stall", TOKEN, 10),
        ] {
            assert_eq!(hits(text, subject, 10), expected, "{text}");
        }
        let sometimes = hits("reset,probability=0.5", TEL, 1000);
        assert!((400..600).contains(&sometimes), "{sometimes}");
    }

    #[test]
    fn any_of_draws_each_of_its_kinds_and_the_same_again_from_the_same_seed() {
        let draw = || {
            let mut faults = Faults::new(Random::seeded(Some(1)));
            faults
                .set("token:any-of=reset|status=500|hang,probability=0.3")
                .unwrap();
            (0..1000)
                .flat_map(|_| faults.draw(TOKEN, false))
                .map(|drawn| drawn.kind.label())
                .collect::<Vec<_>>()
        };
        let drawn = draw();
        assert!((250..350).contains(&drawn.len()), "{}", drawn.len());
        for label in ["reset", "status", "hang"] {
            let count = drawn.iter().filter(|one| **one == label).count();
            assert!((70..130).contains(&count), "{label}: {count}");
        }
        assert_eq!(drawn, draw());
    }
}
