//! The token endpoint is down for a part of the tokens' life, from many moments
//! of it: calls go on with the old token. And when that has ended as well,
//! callers are told so at once, and served again soon after.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::load::{Complaint, Load};
use crate::personality::Personality;
use crate::process::{Pair, Setup, first_good};
use crate::report::Row;
use crate::wire::Caller;
use crate::{Bench, Failure};

/// An age that a token reaches in normal operation: it is renewed at 0.45 to
/// 0.55 of its life.
const OLDEST: f64 = 0.55;
/// The same when a silent endpoint is to be ridden out: with lives this short,
/// the time-out of one token call is a large part of them.
const OLDEST_BEFORE_SILENCE: f64 = 0.5;
/// A server that repeats its token leaves it in use until its end.
const OLDEST_REPEATED: f64 = 0.9;
const REFUSING: &str = "any-of=status=503|reset|html-200|empty-200";
const SILENT: &str = "hang";
const RECOVERY: Duration = Duration::from_secs(1);

/// One outage, as it was.
struct Outage {
    scope: &'static str,
    begun: Instant,
    ended: Instant,
    /// When the token of that moment ends.
    token_end: Instant,
    /// Part of the life that was left.
    left: f64,
}

impl Outage {
    /// Whether there was nothing to serve this call with: the server had only
    /// the token that has ended, and was down.
    fn excuses(&self, complaint: &Complaint) -> bool {
        // The proxy keeps off the last 50 ms.
        let end = self.token_end - Duration::from_millis(80);
        complaint.scope == self.scope
            && complaint.what.starts_with("503")
            && complaint.begun >= end
            && complaint.begun <= self.ended + RECOVERY
    }
}

/// Outages from `extent.phases` moments, spread over proxies and scopes.
pub(crate) async fn ride_through(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let extent = &bench.extent;
    let setup = Setup::new(extent.outage_life, personality.switches());
    let mut pairs = Vec::new();
    for _ in 0..extent.outage_proxies {
        pairs.push(setup.start(&bench.ground).await?);
    }
    for pair in &pairs {
        pair.ready().await?;
    }
    let cells: Vec<_> = pairs
        .iter()
        .enumerate()
        .flat_map(|(index, pair)| {
            bench
                .calls
                .iter()
                .map(move |call| (index, pair, call.scope))
        })
        .collect();
    let pause = extent
        .outage_life
        .div_f64(40.0)
        .min(Duration::from_millis(500));
    let loads: Vec<_> = pairs
        .iter()
        .map(|pair| Load::start(&[pair.proxy], &bench.calls, pause))
        .collect();
    let outages = try_join_all(cells.iter().enumerate().map(async |(number, cell)| {
        let (index, pair, scope) = *cell;
        let mut outages = Vec::new();
        // Late phases follow early ones, so that all cells take about as long.
        let mut round = 0;
        loop {
            let at = round * cells.len();
            let phase = at
                + if round % 2 == 0 {
                    number
                } else {
                    cells.len() - 1 - number
                };
            round += 1;
            if at >= extent.phases {
                return Ok::<_, Failure>(outages);
            }
            if phase < extent.phases {
                let part = phase as f64 / (extent.phases - 1).max(1) as f64;
                let outage = one(bench, personality, pair, scope, part, phase % 4 == 3).await?;
                outages.push((index, outage));
            }
        }
    }))
    .await?;
    let outages: Vec<_> = outages.into_iter().flatten().collect();

    let (mut answered, mut failed, mut excused, mut first) = (0, 0, 0, String::new());
    for (index, load) in loads.into_iter().enumerate() {
        let (tally, _) = load.end().await?;
        answered += tally.answered;
        let is_excused = |complaint: &&Complaint| {
            personality == Personality::SameToken
                && outages
                    .iter()
                    .any(|(at, outage)| *at == index && outage.excuses(complaint))
        };
        let kept = tally.complaints.iter().filter(is_excused).count() as u64;
        excused += kept;
        failed += tally.failed - kept;
        if let Some(one) = tally.complaints.iter().find(|one| !is_excused(one)) {
            let during = outages.iter().rfind(|(at, outage)| {
                *at == index && outage.scope == one.scope && outage.begun <= one.begun
            });
            let left = during.map_or(1.0, |(_, outage)| outage.left * 100.0);
            first = format!(
                " ({}, outage from {left:.0} % left: {})",
                one.scope, one.what
            );
        }
    }
    let mut expired = 0;
    for pair in &pairs {
        expired += pair.dqe.counters().await?.of("carried.expired")?;
    }
    let least = outages.iter().map(|(_, outage)| outage.left);
    let least = least.fold(1.0, f64::min);
    let excuse = match personality {
        Personality::SameToken => ", 503 after the token's own end excepted",
        Personality::New | Personality::RevokePrevious => "",
    };
    Ok(Row {
        server: personality.name(),
        goal: "outage ride-through",
        target: format!(
            "{:.0} % of {:?} lives, {} phases: 0 failed{excuse}",
            extent.outage * 100.0,
            extent.outage_life,
            extent.phases,
        ),
        measured: format!(
            "{failed} failed{first} of {answered}, {excused} excepted, {expired} expired carried, {} outages, from {:.0} % left",
            outages.len(),
            least * 100.0,
        ),
        verdict: (failed + expired == 0 && outages.len() == extent.phases).into(),
    })
}

/// Waits for the moment, breaks the endpoint for one scope, mends it, and waits
/// until a token has been renewed.
async fn one(
    bench: &Bench,
    personality: Personality,
    pair: &Pair,
    scope: &'static str,
    part: f64,
    is_silent: bool,
) -> Result<Outage, Failure> {
    let life = bench.extent.outage_life;
    let oldest = match personality {
        Personality::SameToken => OLDEST_REPEATED,
        Personality::New | Personality::RevokePrevious if is_silent => OLDEST_BEFORE_SILENCE,
        Personality::New | Personality::RevokePrevious => OLDEST,
    };
    let left = async || {
        pair.metric(&format!(
            "dqe_proxy_token_seconds_to_expiry{{scope=\"{scope}\"}}"
        ))
        .await
    };
    let generation = async || {
        pair.metric(&format!("dqe_proxy_token_generation{{scope=\"{scope}\"}}"))
            .await
    };
    let age = life.as_secs_f64() - left().await?;
    sleep(Duration::from_secs_f64(
        (life.as_secs_f64() * oldest * part - age).max(0.0),
    ))
    .await;

    let before = generation().await?;
    let kind = if is_silent { SILENT } else { REFUSING };
    let seconds = left().await?;
    let fault = pair
        .dqe
        .fault(&format!("token&scope={scope}:{kind}"))
        .await?;
    let begun = Instant::now();
    sleep(life.mul_f64(bench.extent.outage)).await;
    pair.dqe
        .order("DELETE", &format!("/faults?id={fault}"), "")
        .await?;
    let ended = Instant::now();

    while generation().await? <= before {
        if ended.elapsed() > life * 2 {
            return Err(format!("{scope} is not renewed after an outage").into());
        }
        // Right after the outage, or when it would have been due without one.
        let due = match ended.elapsed() < RECOVERY {
            true => RECOVERY,
            false => life.mul_f64(0.02),
        };
        sleep(due.min(life.mul_f64(0.1))).await;
    }
    Ok(Outage {
        scope,
        begun,
        ended,
        token_end: begun + Duration::from_secs_f64(seconds.max(0.0)),
        left: seconds / life.as_secs_f64(),
    })
}

const ENDING_LIFE: Duration = Duration::from_secs(2);
const ANSWERS: usize = 200;
const AT_ONCE: Duration = Duration::from_millis(5);

/// The endpoint stays down past the token's end, then it is back.
pub(crate) async fn after_expiry(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let pair = Setup::new(ENDING_LIFE, personality.switches())
        .start(&bench.ground)
        .await?;
    pair.ready().await?;
    let call = bench.calls.first().ok_or("there is no call")?;
    let mut caller = Caller::of(pair.proxy);
    let (mut medians, mut lasts, mut recoveries) = (Vec::new(), Vec::new(), Vec::new());
    let mut odd = 0;
    for kind in bench.extent.endings {
        pair.dqe.fault(&format!("token:{kind}")).await?;
        let begun = Instant::now();
        while caller.get(call.target).await?.status == 200 {
            if begun.elapsed() > ENDING_LIFE * 2 {
                return Err("the token outlives its life".into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        if personality == Personality::SameToken {
            // Such a token ends all at once; callers are held for a second after.
            sleep(RECOVERY + Duration::from_millis(200)).await;
        }
        let mut times = Vec::new();
        for _ in 0..ANSWERS {
            let begun = Instant::now();
            let answer = caller.get(call.target).await?;
            times.push(begun.elapsed());
            odd += usize::from(answer.status != 503);
        }
        times.sort_unstable();
        medians.push(times[ANSWERS / 2]);
        lasts.push(times[ANSWERS * 99 / 100]);
        pair.dqe.order("DELETE", "/faults", "").await?;
        recoveries.push(first_good(&mut caller, call.target, RECOVERY * 10).await?);
        // The others have recovered as well before the next ending.
        pair.ready().await?;
    }
    let worst = |times: &[Duration]| times.iter().max().copied().unwrap_or(Duration::MAX);
    let (median, last, recovery) = (worst(&medians), worst(&lasts), worst(&recoveries));
    let expired = pair.dqe.counters().await?.of("carried.expired")?;
    Ok(Row {
        server: personality.name(),
        goal: "after the token's end",
        target: "503 in < 5 ms, good ≤ 1 s after recovery".to_owned(),
        measured: format!(
            "median {median:.1?}, p99 {last:.1?}, recovery {recovery:.0?}, {odd} not 503, {expired} expired carried"
        ),
        verdict: (expired == 0
            && odd == 0
            && median < AT_ONCE
            && last < AT_ONCE
            && recovery <= RECOVERY)
            .into(),
    })
}
