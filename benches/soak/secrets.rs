//! Client secrets that are wrong, corrected and rotated while the proxy runs.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::load::Load;
use crate::personality::Personality;
use crate::process::{SECRET, Setup, first_good};
use crate::report::{Row, Verdict};
use crate::wire::Caller;
use crate::{Bench, Failure};

const LIFE: Duration = Duration::from_secs(2);
const NEXT: &str = "the-next-secret";
const FILE: &str = "DQE_PROXY_DQE_CLIENT_SECRET_FILE";
const NEXT_FILE: &str = "DQE_PROXY_DQE_CLIENT_SECRET_NEXT_FILE";
const NOTICED: Duration = Duration::from_secs(2);
const REFUSED: Duration = Duration::from_secs(10);

/// How a file gets its new content.
#[derive(Clone, Copy, Debug)]
enum Change {
    InPlace,
    Renamed,
    Link,
}

impl Change {
    fn make(self, path: &Path, content: &str) -> std::io::Result<()> {
        let beside = path.with_extension("new");
        match self {
            Self::InPlace => std::fs::write(path, content),
            Self::Renamed => {
                std::fs::write(&beside, content)?;
                std::fs::rename(&beside, path)
            }
            Self::Link => {
                let target = path.with_extension("target");
                std::fs::write(&target, content)?;
                std::os::unix::fs::symlink(&target, &beside)?;
                std::fs::rename(&beside, path)
            }
        }
    }
}

/// A wrong secret, corrected in its file in three ways.
pub(crate) async fn correction(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let one = async |change| corrected(bench, personality, change).await;
    let (in_place, renamed, link) = tokio::try_join!(
        one(Change::InPlace),
        one(Change::Renamed),
        one(Change::Link)
    )?;
    Ok(Row {
        server: personality.name(),
        goal: "wrong secret corrected",
        target: "working ≤ 2 s later".to_owned(),
        measured: format!("in place {in_place:.2?}, renamed {renamed:.2?}, link {link:.2?}"),
        verdict: [in_place, renamed, link]
            .iter()
            .all(|time| *time <= NOTICED)
            .into(),
    })
}

async fn corrected(
    bench: &Bench,
    personality: Personality,
    change: Change,
) -> Result<Duration, Failure> {
    let path = bench.ground.fresh("secret");
    change.make(&path, "a-wrong-secret\n")?;
    let pair = Setup::new(LIFE, personality.switches())
        .set(FILE, path.to_string_lossy())
        .start(&bench.ground)
        .await?;
    let call = bench.calls.first().ok_or("there is no call")?;
    let mut caller = Caller::of(pair.proxy);
    let begun = Instant::now();
    while pair.dqe.counters().await?.of("token.invalid_client")? == 0 {
        if begun.elapsed() > REFUSED {
            return Err("a wrong secret is not refused".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    if caller.get(call.target).await?.status != 503 {
        return Err("a wrong secret works".into());
    }
    change.make(&path, &format!("{SECRET}\n"))?;
    first_good(&mut caller, call.target, NOTICED * 5).await
}

/// The old secret is revoked under load, with the next one in its file.
pub(crate) async fn rotation(bench: &Bench, personality: Personality) -> Result<Row, Failure> {
    let row = |measured, verdict| Row {
        server: personality.name(),
        goal: "secret rotated under load",
        target: "0 failed calls".to_owned(),
        measured,
        verdict,
    };
    let (old, next) = (bench.ground.fresh("old"), bench.ground.fresh("next"));
    std::fs::write(&old, format!("{SECRET}\n"))?;
    std::fs::write(&next, format!("{NEXT}\n"))?;
    let mut setup = Setup::new(LIFE, personality.switches())
        .set(FILE, old.to_string_lossy())
        .set(NEXT_FILE, next.to_string_lossy());
    setup.secrets.push(NEXT);
    let pair = match setup.start(&bench.ground).await {
        Ok(pair) => pair,
        Err(error)
            if error
                .to_string()
                .to_ascii_uppercase()
                .contains("CLIENT_SECRET_NEXT_FILE") =>
        {
            return Ok(row(
                "the binary does not know client_secret_next_file".to_owned(),
                Verdict::Skipped,
            ));
        }
        Err(error) => return Err(error),
    };
    pair.ready().await?;
    let load = Load::start(&[pair.proxy], &bench.calls, Duration::from_millis(50));
    sleep(LIFE).await;
    pair.dqe.order("DELETE", "/counters", "").await?;
    pair.dqe
        .order("POST", &format!("/secret?value={NEXT}"), "")
        .await?;
    sleep(LIFE * 2).await;
    let (tally, _) = load.end().await?;
    let counters = pair.dqe.counters().await?;
    let (refused, issued) = (
        counters.of("token.invalid_client")?,
        counters.of("token.issued")?,
    );
    let is_proven = refused > 0 && issued >= bench.calls.len() as u64;
    Ok(row(
        format!(
            "{} failed{} of {}, old secret refused {refused} time(s), {issued} renewals since",
            tally.failed,
            tally.first(),
            tally.answered,
        ),
        (tally.failed == 0 && is_proven).into(),
    ))
}
