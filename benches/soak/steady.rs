//! Steady load on several proxies, in calm and while token calls fail: renewals
//! nobody notices, tokens that live, few token calls, memory that stays.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::calls::CALLS;
use crate::load::Load;
use crate::personality::Personality;
use crate::process::{Pair, Setup};
use crate::report::{Row, Verdict};
use crate::{Bench, Failure};

const LIFE: Duration = Duration::from_secs(2);
const FAILING: &str = "token:any-of=status=500|reset|hang|html-200|empty-200,probability=0.3";
/// Percent of the token calls that fail, at least, for the load to prove anything.
const LEAST_SHARE: f64 = 20.0;
/// 600 token calls in a day of lives of 300 s.
const CALLS_PER_LIFE: f64 = 600.0 / 288.0;
/// Requests each second that the goal asks for.
const PACE: f64 = 500.0;
/// Growth of resident memory that counts as none, in KiB.
const GROWTH: u64 = 2048;

/// All of it against one kind of server.
pub(crate) async fn measure(bench: &Bench, personality: Personality) -> Result<Vec<Row>, Failure> {
    let extent = &bench.extent;
    let setup = Setup::new(LIFE, personality.switches());
    let mut pairs = Vec::new();
    for _ in 0..extent.proxies {
        pairs.push(setup.start(&bench.ground).await?);
    }
    for pair in &pairs {
        pair.ready().await?;
    }
    let cells = (pairs.len() * bench.calls.len()) as f64;
    let addresses: Vec<_> = pairs.iter().map(|pair| pair.proxy).collect();
    // A little more than the goal, for it is to be met in spite of rounding.
    let load = Load::start(
        &addresses,
        &bench.calls,
        Duration::from_secs_f64(cells / (PACE * 1.1)),
    );

    forget(&pairs).await?;
    let pace_of_calls = Pace::watch(&pairs, extent.calm).await?;
    let calm = Sum::of(&pairs).await?;
    // Calls that brought nothing, such as a hedge's, count as well.
    let per_life = pace_of_calls.per(LIFE) * calm.token_calls as f64 / calm.renewals.max(1) as f64;

    forget(&pairs).await?;
    for pair in &pairs {
        pair.dqe.fault(FAILING).await?;
    }
    let begun = Instant::now();
    let mut resident = None;
    let failing = loop {
        sleep(Duration::from_millis(500)).await;
        if resident.is_none() && begun.elapsed() >= extent.warm_up {
            resident = Some(memory(&pairs)?);
        }
        let sum = Sum::of(&pairs).await?;
        let is_enough = sum.renewals >= extent.renewals && resident.is_some();
        if is_enough || begun.elapsed() > extent.longest {
            break sum;
        }
    };
    let growth = grown(&resident.unwrap_or_default(), &memory(&pairs)?);
    let (tally, time) = load.end().await?;
    let pace = tally.answered as f64 / time.as_secs_f64();
    let share = failing.failed_token_calls as f64 / failing.token_calls.max(1) as f64 * 100.0;

    let row = |goal, target: String, measured: String, verdict: Verdict| Row {
        server: personality.name(),
        goal,
        target,
        measured,
        verdict,
    };
    let is_seen = tally.failed == 0
        && share >= LEAST_SHARE
        && failing.renewals >= extent.renewals
        && pace >= PACE;
    let is_excepted = personality == Personality::SameToken;
    let is_alive = failing.expired + calm.expired == 0
        && failing.violations + calm.violations == 0
        && (is_excepted || failing.least_life.min(calm.least_life) >= 30);
    Ok(vec![
        row(
            "invisible renewals",
            format!("0 failed calls, ≥ {} renewals, ≥ 500/s", extent.renewals),
            format!(
                "{} failed{} of {}, {} renewals, {share:.0} % of token calls failed, {pace:.0}/s, slowest {:.0?}",
                tally.failed,
                tally.first(),
                tally.answered,
                failing.renewals,
                tally.slowest,
            ),
            is_seen.into(),
        ),
        row(
            "no dead token",
            match is_excepted {
                true => "0 expired carried (life left: excepted)".to_owned(),
                false => "0 expired carried, ≥ 3 % of life left".to_owned(),
            },
            format!(
                "{} expired, {} violations, least {:.1} % left",
                failing.expired + calm.expired,
                failing.violations + calm.violations,
                failing.least_life.min(calm.least_life) as f64 / 10.0,
            ),
            is_alive.into(),
        ),
        row(
            "gentle",
            format!("≤ {CALLS_PER_LIFE:.2} token calls per life"),
            format!(
                "{per_life:.2} over {:.0} lives",
                pace_of_calls.time.as_secs_f64() / LIFE.as_secs_f64()
            ),
            (per_life > 0.0 && per_life <= CALLS_PER_LIFE).into(),
        ),
        row(
            "memory",
            "VmRSS grows < 2 MiB".to_owned(),
            format!(
                "{growth} KiB at most, {} proxies, {:.0} s",
                pairs.len(),
                (begun.elapsed() - extent.warm_up.min(begun.elapsed())).as_secs_f64(),
            ),
            (growth < GROWTH).into(),
        ),
    ])
}

async fn forget(pairs: &[Pair]) -> Result<(), Failure> {
    for pair in pairs {
        pair.dqe.order("DELETE", "/counters", "").await?;
    }
    Ok(())
}

fn memory(pairs: &[Pair]) -> Result<Vec<u64>, Failure> {
    pairs.iter().map(Pair::resident).collect()
}

/// The largest growth of one of them.
fn grown(before: &[u64], after: &[u64]) -> u64 {
    let both = before.iter().zip(after);
    let growths = both.map(|(before, after)| after.saturating_sub(*before));
    growths.max().unwrap_or(u64::MAX)
}

/// The counters of all fake DQEs.
struct Sum {
    token_calls: u64,
    failed_token_calls: u64,
    renewals: u64,
    expired: u64,
    violations: u64,
    /// In thousandths.
    least_life: u64,
}

impl Sum {
    async fn of(pairs: &[Pair]) -> Result<Self, Failure> {
        let mut sum = Self {
            token_calls: 0,
            failed_token_calls: 0,
            renewals: 0,
            expired: 0,
            violations: 0,
            least_life: 1000,
        };
        for pair in pairs {
            let counters = pair.dqe.counters().await?;
            sum.token_calls += counters.of("token_endpoint_requests")?;
            sum.failed_token_calls += counters.beginning("fault.token.").sum::<u64>();
            sum.renewals += counters.of("token.issued")?;
            sum.expired += counters.of("carried.expired")?;
            sum.violations += counters.of("violations")?;
            let least = counters.beginning("least_life_left_permille.").min();
            sum.least_life = sum.least_life.min(least.ok_or("no token was carried")?);
        }
        Ok(sum)
    }
}

/// Tokens issued, counted from one to a later one of each scope: nothing is
/// lost or won at the edges of the time that is watched.
struct Pace {
    issued: u64,
    time: Duration,
}

impl Pace {
    async fn watch(pairs: &[Pair], during: Duration) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut seen = HashMap::<(usize, &str), Vec<(Instant, u64)>>::new();
        while begun.elapsed() < during {
            for (index, pair) in pairs.iter().enumerate() {
                let counters = pair.dqe.counters().await?;
                for (scope, _) in CALLS {
                    let issued = counters.of(&format!("issued.{scope}"))?;
                    let changes = seen.entry((index, scope)).or_default();
                    if changes.last().is_none_or(|(_, before)| *before < issued) {
                        changes.push((Instant::now(), issued));
                    }
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        let mut pace = Self {
            issued: 0,
            time: Duration::ZERO,
        };
        for changes in seen.values() {
            // The first reading is no change.
            if let ([_, first, ..], Some(last)) = (&changes[..], changes.last()) {
                pace.issued += last.1 - first.1;
                pace.time += last.0 - first.0;
            }
        }
        Ok(pace)
    }

    /// Tokens issued for one scope in this time.
    fn per(&self, time: Duration) -> f64 {
        self.issued as f64 * time.as_secs_f64() / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}
