//! The soak: the real program against the real sandbox, with tokens of seconds
//! and every fault; prints the goals of the token engine with what was measured.
//!
//! ```text
//! cargo bench --bench soak                     all of it with an optimized build, about ten minutes
//! cargo bench --bench soak -- --quick          the same rows with less of each, half a minute
//! cargo test --locked --bench soak -- --quick  with a build for tests
//!   --personality new|same-token|revoke-previous|all     which kinds of server
//!   --renewals N                                         how many renewals have to be seen
//!   --binary PATH                                        another build of the program
//! ```
//!
//! Exit code 1 when a goal is missed; the logs are kept then. Linux only, for
//! the memory.
//!
//! Each proxy has a fake DQE of its own, since two proxies with one licence
//! revoke each other's tokens on a server that revokes the previous one.
//!
//! How the lives scale: at 2 s the engine keeps off the last 10 % of a life
//! instead of 3 %, so that an outage of 40 % does not fit between the renewal
//! (at 55 % at the latest) and 90 %. The outages of the long run are therefore
//! made with lives of 70 s, the shortest with which every proportion but the
//! token call's time-out is that of 300 s; quick ones last 30 % of 2 s.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod calls;
mod load;
mod outage;
mod personality;
mod process;
mod report;
mod secrets;
mod steady;
mod storm;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use calls::Call;
use personality::Personality;
use process::Ground;
use report::{Row, Table, Verdict};

/// Why the soak could not be made.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Run the program for a while and print how the goals are met
#[derive(Debug, Parser)]
struct Arguments {
    /// Less of everything, in half a minute
    #[arg(long)]
    quick: bool,
    /// Renewals to see for each kind of server [default: 10000, quick: 100]
    #[arg(long, value_name = "N")]
    renewals: Option<u64>,
    /// The kind of server: new, same-token, revoke-previous, or all
    #[arg(long, value_name = "KIND", default_value = "all", value_parser = kinds)]
    personality: Kinds,
    /// The program to run
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_dqe-proxy"))]
    binary: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Debug)]
struct Kinds(Vec<Personality>);

fn kinds(text: &str) -> Result<Kinds, String> {
    if text == "all" {
        return Ok(Kinds(Personality::ALL.to_vec()));
    }
    let one = <Personality as clap::ValueEnum>::from_str(text, true)?;
    Ok(Kinds(vec![one]))
}

/// How much of everything.
struct Extent {
    /// Proxies under steady load, each with seven scopes.
    proxies: usize,
    renewals: u64,
    calm: Duration,
    /// From the first failing token call to the first reading of the memory.
    warm_up: Duration,
    /// The steady load ends then, whatever has been seen.
    longest: Duration,
    outage_proxies: usize,
    phases: usize,
    outage_life: Duration,
    /// Part of the life.
    outage: f64,
    /// How the endpoint is down past the token's end.
    endings: &'static [&'static str],
    storms: usize,
    /// Calls that are all rejected.
    rejections: u64,
}

impl Extent {
    fn long(renewals: u64) -> Self {
        Self {
            proxies: 12,
            renewals,
            calm: Duration::from_secs(20),
            warm_up: Duration::from_secs(20),
            longest: Duration::from_secs(400),
            outage_proxies: 8,
            phases: 100,
            outage_life: Duration::from_secs(70),
            outage: 0.4,
            endings: &["status=503", "reset", "hang"],
            storms: 3,
            rejections: 10_000,
        }
    }

    fn quick(renewals: u64) -> Self {
        Self {
            proxies: 3,
            renewals,
            calm: Duration::from_secs(6),
            warm_up: Duration::from_secs(3),
            longest: Duration::from_secs(20),
            outage_proxies: 1,
            phases: 5,
            outage_life: Duration::from_secs(2),
            outage: 0.3,
            endings: &["status=503"],
            storms: 1,
            rejections: 3_000,
        }
    }
}

/// What every measurement needs.
struct Bench {
    ground: Ground,
    extent: Extent,
    calls: Vec<Call>,
}

impl Bench {
    /// What may run side by side.
    async fn together(&self, personality: Personality) -> Result<Vec<Row>, Failure> {
        let (mut rows, outage, correction, rotation, rejection) = tokio::try_join!(
            steady::measure(self, personality),
            outage::ride_through(self, personality),
            secrets::correction(self, personality),
            secrets::rotation(self, personality),
            storm::rejection(self, personality),
        )?;
        rows.extend([outage, correction, rotation, rejection]);
        Ok(rows)
    }

    /// What wants the machine for itself.
    async fn alone(&self, personality: Personality) -> Result<Vec<Row>, Failure> {
        Ok(vec![
            outage::after_expiry(self, personality).await?,
            storm::revocation(self, personality).await?,
        ])
    }
}

fn main() -> ExitCode {
    match soak(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the soak cannot be made: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal is met.
fn soak(arguments: Arguments) -> Result<bool, Failure> {
    let folder = tempfile::tempdir()?;
    let extent = match arguments.quick {
        true => Extent::quick(arguments.renewals.unwrap_or(100)),
        false => Extent::long(arguments.renewals.unwrap_or(10_000)),
    };
    let ground = Ground {
        binary: arguments.binary,
        folder: folder.path().to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let rows = runtime.block_on(rows(
        ground,
        extent,
        &arguments.personality.0,
        arguments.quick,
    ))?;
    print!("{}", Table(&rows));
    let failed = rows
        .iter()
        .filter(|row| row.verdict == Verdict::Fail)
        .count();
    println!(
        "{} rows, {failed} failed, {:.0?}",
        rows.len(),
        begun.elapsed()
    );
    if failed > 0 {
        println!("the logs are in {}", folder.keep().display());
    }
    Ok(failed == 0)
}

async fn rows(
    ground: Ground,
    extent: Extent,
    personalities: &[Personality],
    quick: bool,
) -> Result<Vec<Row>, Failure> {
    let calls = calls::expected(&ground).await?;
    let bench = Bench {
        ground,
        extent,
        calls,
    };
    let together = personalities.iter().map(|one| bench.together(*one));
    let mut rows = Vec::new();
    if quick {
        rows.extend(try_join_all(together).await?.into_iter().flatten());
    } else {
        for one in together {
            rows.extend(one.await?);
        }
    }
    for personality in personalities {
        rows.extend(bench.alone(*personality).await?);
    }
    // By server, in the order of measuring.
    rows.sort_by_key(|row| {
        personalities
            .iter()
            .position(|one| one.name() == row.server)
    });
    Ok(rows)
}
