//! `dqe-proxy doctor`: what keeps calls from working, in plain words, with what to set and whose
//! side it is on.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dqe_proxy::config::{self, Config};
use dqe_proxy::doctor::{self, Finding, Plan, Planned, Report, SAMPLES, Side, Step, Verdict};
use dqe_proxy::egress::{Egress, EgressError};
use dqe_proxy::proxy::route::RouteTable;
use serde::Serialize;

use super::settings::SettingsArgs;
use super::{FAILURE, explain};

/// Longest wait for one answer; shorter when `upstream.first_byte_timeout` is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `dqe-proxy doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Asks DQE for a new token of each scope, then calls one documented path per \
    family, without side effects and with example data, three times: the token in the header, in \
    the licence parameter, in both. DQE may bill these calls; --no-calls leaves them out."
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Make no call to the business paths
    #[arg(long)]
    no_calls: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when all is well, 1 when something was found, 78 for bad settings.
pub(crate) fn run(arguments: &DoctorArgs) -> ExitCode {
    let config = match config::load(&arguments.settings.inputs()) {
        Ok(config) => config,
        Err(problems) => return super::bad_settings(&problems),
    };
    let as_text = !arguments.json;
    for warning in &config.warnings {
        complain!("{}", super::check::warning_line(warning).trim_end());
    }
    let report = match plan(&config, !arguments.no_calls) {
        Ok(plan) => match examined(&plan, as_text) {
            Ok(report) => report,
            Err(error) => return explain(&error),
        },
        Err(error) => untrusting(&error),
    };
    if as_text {
        say!("\n{}", findings(&report).trim_end());
    } else {
        say!("{}", json(&report));
    }
    if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILURE)
    }
}

/// Takes the steps, and prints each as it ends when asked to.
fn examined(plan: &Plan, as_text: bool) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if as_text {
        say!("{}\n", plan.upstream.server.origin());
    }
    let report = runtime.block_on(doctor::examine(plan, |step| {
        if as_text {
            say!("{}", step_line(step));
        }
    }));
    // A resolver that does not answer holds a thread of its own: nobody waits for it.
    runtime.shutdown_background();
    Ok(report)
}

/// The report when nothing can be examined, because there is nothing to trust.
fn untrusting(error: &EgressError) -> Report {
    Report {
        steps: Vec::new(),
        findings: vec![Finding {
            cause: "trust_unusable",
            side: Side::Settings,
            is_problem: true,
            says: format!("no connection can be trusted: {error}"),
            remedy: "check upstream.ca_files, and that the system's certificates are installed"
                .to_owned(),
        }],
    }
}

fn plan(config: &Config, with_calls: bool) -> Result<Plan, EgressError> {
    let needs_tls =
        config.upstream.server.tls_name().is_some() || config.token.url.starts_with("https:");
    let egress = Egress::build(&config.egress, needs_tls)?;
    Ok(Plan {
        upstream: config.upstream.clone(),
        tls: egress.tls(),
        token_client: egress.token_client(config.token.connect_timeout)?,
        token: config.token.clone(),
        id_mobile: config.id_mobile.clone(),
        patience: config.proxy.first_byte_timeout.min(PATIENCE),
        calls: if with_calls {
            calls(config)
        } else {
            Vec::new()
        },
    })
}

/// The samples that the route table forwards.
fn calls(config: &Config) -> Vec<Planned> {
    let table = RouteTable::new(
        &config.proxy.routes,
        config.proxy.token_path.clone(),
        |_| None,
    );
    let planned = SAMPLES.iter().filter_map(|sample| {
        let route = table.route(table.find(sample.path).ok()?);
        Some(Planned {
            sample,
            scope: route.scope,
            carriage: route.carriage,
        })
    });
    planned.collect()
}

fn step_line(step: &Step) -> String {
    let took = step
        .took
        .map_or_else(String::new, |took| format!("  ({} ms)", took.as_millis()));
    format!(
        "  {:<8} {:<8} {:<24} {}{took}",
        step.stage,
        step.verdict.as_str(),
        step.subject,
        step.says
    )
}

fn findings(report: &Report) -> String {
    let (problems, advice): (Vec<&Finding>, Vec<&Finding>) = report
        .findings
        .iter()
        .partition(|finding| finding.is_problem);
    let skipped = report
        .steps
        .iter()
        .any(|step| step.verdict == Verdict::Skipped);
    let mut text = match problems.len() {
        0 if skipped => "All is well, as far as it was looked at.\n".to_owned(),
        0 => "All is well.\n".to_owned(),
        1 => "Found 1 problem:\n".to_owned(),
        many => format!("Found {many} problems, the first to look at first:\n"),
    };
    for (number, finding) in problems.iter().enumerate() {
        text.push_str(&paragraph(&format!("{}.", number + 1), finding));
    }
    if !advice.is_empty() {
        text.push_str("\nGood to know:\n");
    }
    for finding in advice {
        text.push_str(&paragraph("-", finding));
    }
    text
}

fn paragraph(mark: &str, finding: &Finding) -> String {
    format!(
        "  {mark} {} [{}]\n     whose side: {}\n     what to do: {}\n",
        finding.says,
        finding.cause,
        finding.side.sentence(),
        finding.remedy
    )
}

/// The report as a program reads it. Names and causes are stable.
#[derive(Serialize)]
struct ReportJson<'report> {
    well: bool,
    steps: Vec<StepJson<'report>>,
    findings: Vec<FindingJson<'report>>,
}

#[derive(Serialize)]
struct StepJson<'report> {
    stage: &'static str,
    subject: &'report str,
    verdict: &'static str,
    says: &'report str,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
}

#[derive(Serialize)]
struct FindingJson<'report> {
    cause: &'static str,
    side: &'static str,
    problem: bool,
    says: &'report str,
    remedy: &'report str,
}

fn json(report: &Report) -> String {
    let milliseconds = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let document = ReportJson {
        well: report.is_well(),
        steps: report
            .steps
            .iter()
            .map(|step| StepJson {
                stage: step.stage,
                subject: &step.subject,
                verdict: step.verdict.as_str(),
                says: &step.says,
                took_ms: step.took.map(milliseconds),
            })
            .collect(),
        findings: report
            .findings
            .iter()
            .map(|finding| FindingJson {
                cause: finding.cause,
                side: finding.side.as_str(),
                problem: finding.is_problem,
                says: &finding.says,
                remedy: &finding.remedy,
            })
            .collect(),
    };
    // Texts and numbers only: nothing in it that JSON cannot hold.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
