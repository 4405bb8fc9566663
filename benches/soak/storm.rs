//! All tokens are revoked while many calls are on their way, and: every token
//! is rejected, whatever it is.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::load::Load;
use crate::personality::Personality;
use crate::process::Setup;
use crate::report::Row;
use crate::wire::Caller;
use crate::{Bench, Failure};

/// Long enough that nothing but the storm renews a token.
const LIFE: Duration = Duration::from_secs(60);
const IN_FLIGHT: u64 = 1000;
const SCOPE: &str = "client_phone";
const ARRIVAL: Duration = Duration::from_secs(20);

/// Calls that are all rejected with one token.
pub(crate) async fn revocation(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let call = bench
        .calls
        .iter()
        .find(|call| call.scope == SCOPE)
        .ok_or("there is no such call")?;
    let (mut failed, mut token_calls, mut most_sent, mut first) = (0, 0, 0, String::new());
    let mut least_rejected = IN_FLIGHT;
    for _ in 0..bench.extent.storms {
        let pair = Setup::new(LIFE, personality.switches())
            .set("DQE_PROXY_DQE_SCOPES", SCOPE)
            .start(&bench.ground)
            .await?;
        crate::process::first_good(&mut Caller::of(pair.proxy), call.target, ARRIVAL).await?;
        let mut callers = Vec::new();
        for _ in 0..IN_FLIGHT {
            let mut caller = Caller::of(pair.proxy);
            caller.connect().await?;
            callers.push(caller);
        }
        pair.dqe.order("DELETE", "/counters", "").await?;
        // No answer comes before all have arrived.
        pair.dqe.order("PUT", "/switches?latency=2s", "").await?;
        pair.dqe.order("POST", "/revoke", "").await?;
        let mut calls = JoinSet::new();
        for mut caller in callers {
            let call = call.clone();
            calls.spawn(async move {
                match caller.get(call.target).await {
                    Ok(answer) if answer.status == 200 && *answer.body == *call.body => None,
                    Ok(answer) => Some(answer.refusal()),
                    Err(error) => Some(error.to_string()),
                }
            });
        }
        let begun = Instant::now();
        while pair.dqe.counters().await?.of("family.phone")? < IN_FLIGHT {
            if begun.elapsed() > ARRIVAL {
                return Err("the calls do not arrive".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        // For the replays; the rejections are on their way already.
        pair.dqe.order("PUT", "/switches?latency=0s", "").await?;
        while let Some(complaint) = calls.join_next().await {
            if let Some(complaint) = complaint? {
                failed += 1;
                first = format!(" ({complaint})");
            }
        }
        let counters = pair.dqe.counters().await?;
        token_calls = token_calls.max(counters.of("token_endpoint_requests")?);
        least_rejected = least_rejected.min(counters.of("carried.revoked")?);
        most_sent = most_sent.max(counters.of("family.phone")?);
    }
    let is_met = failed == 0
        && token_calls == 1
        && least_rejected == IN_FLIGHT
        && most_sent <= 2 * IN_FLIGHT;
    Ok(Row {
        server: personality.name(),
        goal: "revocation storm",
        target: format!("{IN_FLIGHT} in flight: 1 token call, ≤ 1 replay each, 0 failed"),
        measured: format!(
            "{failed} failed{first}, {least_rejected} rejected, {token_calls} token call(s), {} replays, {} storm(s)",
            most_sent.saturating_sub(IN_FLIGHT),
            bench.extent.storms,
        ),
        verdict: is_met.into(),
    })
}

const CALLERS: usize = 8;
const PACE: f64 = 500.0;
const PATIENCE: Duration = Duration::from_secs(90);
/// Extra upstream traffic, as a part of the callers'.
const EXTRA: f64 = 0.01;

/// Rejections that no renewal helps against.
pub(crate) async fn rejection(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let call = bench
        .calls
        .iter()
        .find(|call| call.scope == SCOPE)
        .ok_or("there is no such call")?;
    let pair = Setup::new(LIFE, personality.switches())
        .set("DQE_PROXY_DQE_SCOPES", SCOPE)
        .start(&bench.ground)
        .await?;
    crate::process::first_good(&mut Caller::of(pair.proxy), call.target, ARRIVAL).await?;
    pair.dqe.order("DELETE", "/counters", "").await?;
    pair.dqe.fault("business:unauthorized").await?;
    let load = Load::start(
        &[pair.proxy; CALLERS],
        std::slice::from_ref(call),
        Duration::from_secs_f64(CALLERS as f64 / PACE),
    );
    let begun = Instant::now();
    // A share says little of few calls, and they are held up at first.
    while load.answered() < bench.extent.rejections {
        if begun.elapsed() > PATIENCE {
            return Err("the rejected calls are too slow".into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (tally, _) = load.end().await?;
    let sent = pair.dqe.counters().await?.of("requests")?;
    // The second: the rejected token was the only one to be had.
    let told = ["credential_rejected", "token_unavailable"];
    let is_told = |what: &str| told.iter().any(|code| what.contains(code));
    let mut odd = tally.complaints.iter().filter(|one| !is_told(&one.what));
    let first = odd.next();
    let count = usize::from(first.is_some()) + odd.count();
    let first = first.map_or_else(String::new, |one| format!(" ({})", one.what));
    let extra = sent.saturating_sub(tally.answered) as f64 / tally.answered.max(1) as f64;
    let is_met = count == 0 && tally.failed == tally.answered && extra <= EXTRA;
    Ok(Row {
        server: personality.name(),
        goal: "every token rejected",
        target: "≤ 1 % extra upstream traffic".to_owned(),
        measured: format!(
            "{:.2} % ({} calls, {} sent), {count} answers not telling so{first}",
            extra * 100.0,
            tally.answered,
            sent,
        ),
        verdict: is_met.into(),
    })
}
