//! What the cells of one credential know together. While nothing has been
//! granted yet, they go one after the other; when the credential itself is
//! refused, one of them probes for all. Pure.

use std::time::Duration;

use super::error::Reason;
use super::moment::Moment;
use super::timing::{FIRST_COOL_DOWN, LONGEST_ATTEMPT, LONGEST_COOL_DOWN, QUICK_TRIES, doubled};

/// Before the first grant, the next cell follows a silent one after this.
const STAGGER: Duration = Duration::from_millis(350);
/// Pause after a probe of a refused credential that got no clear answer, and
/// the longest one after several.
const UNCLEAR_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_UNCLEAR_PAUSE: Duration = Duration::from_secs(60);
/// How long another scope's grant proves that a refusal is not the credential's.
const PROOF_LASTS: Duration = Duration::from_secs(10);
/// A cell that has not asked for this long is not waiting for its turn.
const ASK_LASTS: Duration = Duration::from_millis(1500);
/// Tries of another secret without a clear answer, before it counts as refused.
const MOST_UNCLEAR_OTHERS: u32 = 5;
/// Pause of a cell that lets another one go first.
const YIELD: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing granted with these settings, nothing clear either.
    Unproven,
    /// A token has been granted.
    Proven,
    /// Refused as a whole.
    Refused,
}

/// What a failure means for the other cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    OwnMatter,
    /// Only this scope is refused; the credential works.
    ScopeRefused,
    /// The credential is in trouble: all wait this long, then one probes.
    AllWait {
        /// Why.
        reason: Reason,
        /// How long.
        wait: Duration,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    asked: Option<Moment>,
    /// Number of its latest attempt; 0 before the first.
    turn: u64,
    granted: Option<Moment>,
    /// The latest clear answer was a refusal.
    refused: bool,
}

/// The secrets besides the first, since the last grant or change.
#[derive(Clone, Copy, Debug, Default)]
struct Others {
    tried: bool,
    /// Tries without a clear answer.
    unclear: u32,
}

/// The standing of one credential.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    standing: Standing,
    seats: Vec<Seat>,
    turns: u64,
    /// Nobody begins before this much has passed since then.
    closed: Option<(Moment, Duration)>,
    /// Answers with status 500 in a row before anything was granted.
    fives: usize,
    /// Refusals of the whole since the last grant.
    streak: u32,
    /// Probes in a row without a clear answer.
    unclear: u32,
    /// While nothing is granted: the cell that asks for all. The other cells make one
    /// call at a time, so that a credential that is refused slowly costs few calls.
    leader: Option<usize>,
    others: Others,
}

impl Credential {
    /// For this many cells.
    pub(super) fn new(cells: usize) -> Self {
        Self {
            standing: Standing::Unproven,
            seats: vec![Seat::default(); cells],
            turns: 0,
            closed: None,
            fives: 0,
            streak: 0,
            unclear: 0,
            leader: None,
            others: Others::default(),
        }
    }

    /// Asks for the turn of a cell whose own schedule is due. Zero: go now, and
    /// the turn is taken; otherwise ask again after that time.
    pub(super) fn ask(&mut self, cell: usize, now: &Moment) -> Duration {
        self.seats[cell].asked = Some(*now);
        if self.standing == Standing::Proven {
            return Duration::ZERO;
        }
        if let Some((since, length)) = self.closed {
            let wait = length.saturating_sub(now.since(&since));
            if !wait.is_zero() {
                return wait;
            }
        }
        let turn = self.seats[cell].turn;
        let another_is_first = self.seats.iter().any(|seat| {
            let is_asking = seat.asked.is_some_and(|at| now.since(&at) < ASK_LASTS);
            is_asking && seat.turn < turn
        });
        if another_is_first {
            return YIELD;
        }
        self.turns += 1;
        let seat = &mut self.seats[cell];
        seat.turn = self.turns;
        seat.asked = None;
        let length = match self.standing {
            Standing::Unproven | Standing::Proven => {
                self.leader.get_or_insert(cell);
                STAGGER
            }
            Standing::Refused => {
                self.leader = Some(cell);
                // A probe that dies without a trace must not close the gate for good.
                LONGEST_ATTEMPT + Duration::from_secs(1)
            }
        };
        self.closed = Some((*now, length));
        Duration::ZERO
    }

    /// Whether calls only look if the credential is still refused.
    pub(super) fn is_probing(&self) -> bool {
        self.standing == Standing::Refused
    }

    /// Whether a cell's attempt is one call at a time: it only looks if the
    /// credential is still refused, or another cell asks for all.
    pub(super) fn is_quiet(&self, cell: usize) -> bool {
        match self.standing {
            Standing::Proven => false,
            Standing::Unproven => self.leader != Some(cell),
            Standing::Refused => true,
        }
    }

    /// Whether an attempt that was refused may try the credential's other
    /// secrets; that uses the permission up. While nothing has been granted
    /// with them, once is enough for all cells: a licence code that is wrong
    /// refuses every secret.
    pub(super) fn may_try_others(&mut self) -> bool {
        match self.standing {
            Standing::Proven => true,
            Standing::Unproven => !std::mem::replace(&mut self.others.tried, true),
            Standing::Refused => false,
        }
    }

    /// Another secret got no clear answer: it may be tried again, a few times.
    pub(super) fn others_are_unclear(&mut self) {
        if self.others.unclear < MOST_UNCLEAR_OTHERS {
            self.others.unclear += 1;
            self.others.tried = false;
        }
    }

    /// Number of the probe that is under way, for those that take turns.
    pub(super) fn probes(&self) -> usize {
        self.streak as usize
    }

    /// Whether nothing is granted with what is known now.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.standing != Standing::Proven
    }

    /// A cell has been granted a token. True when that sets the others free.
    pub(super) fn granted(&mut self, cell: usize, now: &Moment) -> bool {
        let seat = &mut self.seats[cell];
        seat.granted = Some(*now);
        seat.refused = false;
        let was_held_back = self.standing != Standing::Proven;
        self.begin_anew(Standing::Proven);
        was_held_back
    }

    /// A cell's attempt failed. `first_cool_down`: how long the whole waits
    /// when this is its first refusal.
    pub(super) fn failed(
        &mut self,
        cell: usize,
        reason: Reason,
        now: &Moment,
        first_cool_down: Duration,
    ) -> Effect {
        let led = self.leader == Some(cell);
        if led {
            self.leader = None;
        }
        if self.standing == Standing::Refused && !led {
            // It began before the refusal was known: it is no probe.
            self.seats[cell].refused |= reason.is_permanent();
            return Effect::OwnMatter;
        }
        if !reason.is_permanent() {
            return self.failed_unclearly(reason, now);
        }
        self.seats[cell].refused = true;
        let proof = |seat: &Seat| seat.granted.is_some_and(|at| now.since(&at) < PROOF_LASTS);
        let mut others = self.seats.iter().enumerate();
        let is_disproved =
            others.any(|(index, seat)| index != cell && !seat.refused && proof(seat));
        let all_refused = self.seats.iter().all(|seat| seat.refused);
        let concerns_all = reason == Reason::InvalidClient && !is_disproved;
        if concerns_all || all_refused || self.standing == Standing::Refused {
            return self.refuse(reason, now, first_cool_down);
        }
        match self.standing {
            Standing::Proven => Effect::ScopeRefused,
            Standing::Unproven | Standing::Refused => {
                self.closed = None;
                Effect::OwnMatter
            }
        }
    }

    fn refuse(&mut self, reason: Reason, now: &Moment, first_cool_down: Duration) -> Effect {
        self.standing = Standing::Refused;
        self.leader = None;
        let wait = doubled(first_cool_down, self.streak, LONGEST_COOL_DOWN);
        self.streak = self.streak.saturating_add(1);
        self.unclear = 0;
        self.closed = Some((*now, wait));
        Effect::AllWait { reason, wait }
    }

    fn failed_unclearly(&mut self, reason: Reason, now: &Moment) -> Effect {
        match self.standing {
            Standing::Proven => Effect::OwnMatter,
            Standing::Refused
                if reason == Reason::InternalError && self.fives == QUICK_TRIES.len() =>
            {
                self.refuse(Reason::NeverWorked, now, FIRST_COOL_DOWN)
            }
            Standing::Refused => {
                let pause = doubled(UNCLEAR_PAUSE, self.unclear, LONGEST_UNCLEAR_PAUSE);
                self.unclear = self.unclear.saturating_add(1);
                self.closed = Some((*now, pause));
                Effect::OwnMatter
            }
            Standing::Unproven if reason == Reason::InternalError => {
                let Some(wait) = QUICK_TRIES.get(self.fives).copied() else {
                    return self.refuse(Reason::NeverWorked, now, FIRST_COOL_DOWN);
                };
                self.fives += 1;
                self.closed = Some((*now, wait));
                Effect::AllWait { reason, wait }
            }
            Standing::Unproven if reason == Reason::SecretUnreadable => {
                let wait = Duration::from_secs(1);
                self.closed = Some((*now, wait));
                Effect::AllWait { reason, wait }
            }
            Standing::Unproven => {
                self.closed = None;
                Effect::OwnMatter
            }
        }
    }

    /// Forgets every failure, and who was probing.
    fn begin_anew(&mut self, standing: Standing) {
        self.standing = standing;
        self.closed = None;
        self.fives = 0;
        self.streak = 0;
        self.unclear = 0;
        self.leader = None;
        self.others = Others::default();
    }

    /// The secret or the way to the endpoint has changed.
    pub(super) fn changed(&mut self) {
        self.begin_anew(Standing::Unproven);
        for seat in &mut self.seats {
            seat.refused = false;
            seat.granted = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn before_the_first_grant_cells_follow_each_other() {
        let mut credential = Credential::new(3);
        let start = Moment::now();
        assert_eq!(credential.ask(0, &start), Duration::ZERO);
        assert_eq!(credential.ask(1, &start), STAGGER, "the first is silent");
        let later = start.later(STAGGER);
        assert_eq!(credential.ask(1, &later), Duration::ZERO);
        assert!(credential.granted(1, &later), "the others are set free");
        for cell in [2, 0, 0] {
            assert_eq!(credential.ask(cell, &later), Duration::ZERO);
        }
        assert!(!credential.granted(2, &later));
    }

    #[test]
    fn the_probe_of_a_refused_credential_goes_round() {
        let mut credential = Credential::new(2);
        let mut now = Moment::now();
        let mut probes = Vec::new();
        credential.ask(0, &now);
        credential.failed(0, Reason::InvalidClient, &now, FIRST_COOL_DOWN);
        assert!(credential.is_probing());
        for cool_down in [30, 60, 120, 240] {
            let nearly = now.later(Duration::from_secs(cool_down) - SHORT);
            assert_eq!(credential.ask(0, &nearly), SHORT);
            assert_eq!(credential.ask(1, &nearly), SHORT);
            now = nearly.later(SHORT);
            let first = [0, 1].map(|cell| credential.ask(cell, &now).is_zero());
            let again = credential.ask(0, &now).is_zero();
            let probe = usize::from(first[1]);
            assert!(first[probe] && !again, "one of them goes");
            probes.push(probe);
            credential.failed(probe, Reason::InvalidClient, &now, FIRST_COOL_DOWN);
        }
        assert_eq!(probes, [1, 0, 1, 0]);
    }

    #[test]
    fn a_refusal_that_another_scope_disproves_is_the_scopes_own() {
        let mut credential = Credential::new(2);
        let now = Moment::now();
        credential.granted(0, &now);
        let effect = credential.failed(1, Reason::InvalidClient, &now, FIRST_COOL_DOWN);
        assert_eq!(effect, Effect::ScopeRefused);
        let later = now.later(PROOF_LASTS);
        let effect = credential.failed(1, Reason::InvalidClient, &later, FIRST_COOL_DOWN);
        assert!(matches!(effect, Effect::AllWait { .. }));
    }
}
