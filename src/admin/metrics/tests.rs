//! Reads the exposition back, line by line, as strictly as a scraper would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::testing::Fake;
use super::*;

/// Series (name and labels as written) and their values.
type Series = BTreeMap<String, f64>;

fn exposed(fake: Fake) -> Series {
    let answer = Exposition::new(Arc::new(fake)).answer();
    assert_eq!(answer.status, StatusCode::OK);
    read(std::str::from_utf8(&answer.body).unwrap())
}

/// Checks the whole text against the grammar and the rules of OpenMetrics.
fn read(text: &str) -> Series {
    let text = text.strip_suffix("# EOF\n").unwrap();
    let mut series = Series::new();
    let mut seen = BTreeSet::new();
    let mut family = ("", "");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(seen.insert(name), "{name} stands together, and once");
            assert!(help.ends_with('.'), "{line}");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            family = kind.split_once(' ').unwrap();
            assert_eq!(family.0, name);
            assert!(
                !["_total", "_info"].iter().any(|it| name.ends_with(it)),
                "{name}"
            );
            continue;
        }
        let (id, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = id.split_once('{').unwrap_or((id, "}"));
        let suffixes: &[&str] = match family.1 {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            other => panic!("{other}"),
        };
        let suffix = name.strip_prefix(family.0).unwrap();
        assert!(suffixes.contains(&suffix), "{line} in {family:?}");
        assert!(
            name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_'),
            "{name}"
        );
        check_labels(labels);
        let value = value.parse().unwrap();
        assert!(series.insert(id.to_owned(), value).is_none(), "{id} twice");
    }
    series
}

/// `a="b",c="d"}`, with `\\`, `\"` and `\n` escaped in the values.
fn check_labels(labels: &str) {
    let mut rest = labels;
    while rest != "}" {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|it| it.is_ascii_lowercase()), "{labels}");
        let mut bytes = value.bytes().enumerate();
        let end = loop {
            match bytes.next().unwrap() {
                (_, b'\\') => assert!(br#"\"n"#.contains(&bytes.next().unwrap().1)),
                (at, b'"') => break at,
                _ => {}
            }
        };
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[test]
fn an_idle_proxy_shows_totals_and_tokens_and_no_route() {
    let series = exposed(Fake::new());
    assert!(!series.keys().any(|id| id.contains("route")), "{series:#?}");
    for (id, expected) in [
        ("dqe_proxy_requests_in_flight", 0.0),
        ("dqe_proxy_caller_connections", 0.0),
        ("dqe_proxy_caller_connections_parked", 0.0),
        ("dqe_proxy_caller_connections_opened_total", 0.0),
        ("dqe_proxy_caller_connections_refused_total", 0.0),
        ("dqe_proxy_upstream_connections", 0.0),
        ("dqe_proxy_upstream_connections_opened_total", 0.0),
        (
            r#"dqe_proxy_token_seconds_to_expiry{scope="client_address"}"#,
            142.5,
        ),
        (
            r#"dqe_proxy_token_state{scope="client_address",state="fresh"}"#,
            1.0,
        ),
        (
            r#"dqe_proxy_token_state{scope="client_address",state="refused"}"#,
            0.0,
        ),
        (
            r#"dqe_proxy_token_state{scope="client_phone",state="refused"}"#,
            1.0,
        ),
        (r#"dqe_proxy_token_generation{scope="client_address"}"#, 7.0),
        (
            r#"dqe_proxy_token_renewals_total{scope="client_address",outcome="granted",reason=""}"#,
            7.0,
        ),
        (
            r#"dqe_proxy_token_renewals_total{scope="client_address",outcome="transient",reason="timed_out"}"#,
            2.0,
        ),
        (
            r#"dqe_proxy_token_renewals_total{scope="client_phone",outcome="permanent",reason="unauthorized_scope"}"#,
            3.0,
        ),
        (
            r#"dqe_proxy_token_calls_total{scope="client_address"}"#,
            10.0,
        ),
        (
            r#"dqe_proxy_token_waits_total{scope="client_address"}"#,
            3.0,
        ),
        (r#"dqe_proxy_token_waits_total{scope="client_phone"}"#, 0.0),
        (
            r#"dqe_proxy_token_wait_seconds_total{scope="client_address"}"#,
            0.25,
        ),
        (
            r#"dqe_proxy_token_forced_renewals_total{scope="client_address"}"#,
            1.0,
        ),
        (r#"dqe_proxy_token_same_total{scope="client_address"}"#, 4.0),
        (
            r#"dqe_proxy_token_renewer_restarts_total{scope="client_phone"}"#,
            0.0,
        ),
        ("dqe_proxy_access_log_dropped_total", 11.0),
        ("dqe_proxy_event_log_dropped_total", 12.0),
        ("dqe_proxy_ready", 1.0),
        ("dqe_proxy_draining", 0.0),
        (
            concat!(
                "dqe_proxy_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"}"
            ),
            1.0,
        ),
        ("process_start_time_seconds", 1_763_951_521.25),
    ] {
        assert_eq!(series.get(id), Some(&expected), "{id} in {series:#?}");
    }
    let phone = r#"dqe_proxy_token_seconds_to_expiry{scope="client_phone"}"#;
    assert!(!series.contains_key(phone));
}

#[test]
fn counts_of_all_worker_threads_are_added_up() {
    let fake = Fake::new();
    for (worker, metrics) in (1..).zip(&fake.metrics.workers) {
        metrics.connections_opened.add(10 * worker);
        metrics.connections_closed.add(worker);
        metrics.connections_parked.add(8);
        metrics.connections_unparked.add(1);
        metrics.connections_refused.add(2);
        metrics.connections_shed[1].add(3);
        metrics.heads_refused[2].add(6);
        metrics.accepts_failed.add(4);
        metrics.upstream_connections_opened.add(5);
        metrics.upstream_connections_closed.add(1);
        metrics.requests_started.add(100);
        metrics.requests_ended.add(97);
        metrics.routes[0].outcomes[0].add(worker);
        metrics.routes[0].replays.add(1);
        metrics.routes[0].redirects.add(2);
        metrics.routes[1].outcomes[1].add(40);
    }
    let series = exposed(fake);
    for (id, expected) in [
        (
            r#"dqe_proxy_requests_total{route="/RNVP",outcome="ok"}"#,
            3.0,
        ),
        (
            r#"dqe_proxy_requests_total{route="/odd \"route\"\\*",outcome="not_found"}"#,
            80.0,
        ),
        (r#"dqe_proxy_replays_total{route="/RNVP"}"#, 2.0),
        (r#"dqe_proxy_redirects_followed_total{route="/RNVP"}"#, 4.0),
        ("dqe_proxy_requests_in_flight", 6.0),
        ("dqe_proxy_caller_connections", 27.0),
        ("dqe_proxy_caller_connections_parked", 14.0),
        ("dqe_proxy_caller_connections_opened_total", 30.0),
        ("dqe_proxy_caller_connections_refused_total", 4.0),
        (
            r#"dqe_proxy_caller_connections_shed_total{reason="max_connections_per_caller"}"#,
            6.0,
        ),
        (
            r#"dqe_proxy_caller_heads_refused_total{status="431"}"#,
            12.0,
        ),
        ("dqe_proxy_accept_failures_total", 8.0),
        ("dqe_proxy_upstream_connections", 8.0),
        ("dqe_proxy_upstream_connections_opened_total", 10.0),
    ] {
        assert_eq!(series.get(id), Some(&expected), "{id} in {series:#?}");
    }
    let of_requests = |id: &&String| id.starts_with("dqe_proxy_requests_total");
    assert_eq!(
        series.keys().filter(of_requests).count(),
        2,
        "no zero series"
    );
}

#[test]
fn buckets_are_cumulated_and_end_at_the_count() {
    let fake = Fake::new();
    for (worker, millis) in [(0, 4), (0, 30), (1, 30), (1, 9_000), (1, 60_000)] {
        let latency = &fake.metrics.workers[worker].routes[0].latency;
        latency.observe(Duration::from_millis(millis));
    }
    let series = exposed(fake);
    let name = "dqe_proxy_request_duration_seconds";
    let mut before = 0.0;
    for bound in LATENCY_BOUNDS {
        let id = format!(r#"{name}_bucket{{le="{bound:?}",route="/RNVP"}}"#);
        let count = *series
            .get(&id)
            .unwrap_or_else(|| panic!("{id} in {series:#?}"));
        assert!(count >= before, "{id}");
        let expected = [
            (0.005, 1.0),
            (0.025, 1.0),
            (0.05, 3.0),
            (7.5, 3.0),
            (10.0, 4.0),
        ];
        for (_, expected) in expected.iter().filter(|(it, _)| *it == bound) {
            assert_eq!(count, *expected, "{id}");
        }
        before = count;
    }
    let of_route = |suffix: &str| series[&format!("{name}_{suffix}")];
    assert_eq!(of_route(r#"bucket{le="+Inf",route="/RNVP"}"#), 5.0);
    assert_eq!(of_route(r#"count{route="/RNVP"}"#), 5.0);
    assert!((of_route(r#"sum{route="/RNVP"}"#) - 69.064).abs() < 1e-9);
    assert!(
        !series.keys().any(|id| id.contains("odd")),
        "a route never called"
    );
}

#[test]
fn shares_of_lives_are_shown_per_scope_and_begin_at_zero() {
    let fake = Fake::new();
    for (worker, left) in [(0, 150), (0, 3), (1, 150), (1, 0)] {
        let (left, life) = (Duration::from_secs(left), Duration::from_secs(300));
        fake.metrics.workers[worker].scopes[0]
            .life_left
            .observe(left, life);
        fake.metrics.workers[worker].scopes[1].replays.add(2);
    }
    let series = exposed(fake);
    let bucket = |name: &str, bound: &str, scope: &str| {
        series[&format!(r#"dqe_proxy_token_{name}_bucket{{le="{bound}",scope="{scope}"}}"#)]
    };
    let left = |bound| bucket("life_left_ratio", bound, "client_address");
    assert_eq!(
        ["0.0", "0.01", "0.03", "0.4", "0.5", "+Inf"].map(left),
        [1.0, 2.0, 2.0, 2.0, 4.0, 4.0]
    );
    let slack = |bound| bucket("renewal_slack_ratio", bound, "client_address");
    assert_eq!(
        ["0.0", "0.4", "0.5", "+Inf"].map(slack),
        [1.0, 1.0, 6.0, 6.0]
    );
    for (id, expected) in [
        (
            r#"dqe_proxy_token_life_left_ratio_sum{scope="client_address"}"#,
            1.01,
        ),
        (
            r#"dqe_proxy_token_renewal_slack_ratio_sum{scope="client_address"}"#,
            2.4,
        ),
        (
            r#"dqe_proxy_token_life_left_ratio_count{scope="client_phone"}"#,
            0.0,
        ),
        (
            r#"dqe_proxy_token_replays_total{scope="client_phone"}"#,
            8.0,
        ),
        (
            r#"dqe_proxy_token_replays_total{scope="client_address"}"#,
            0.0,
        ),
    ] {
        assert!((series[id] - expected).abs() < 1e-9, "{id} in {series:#?}");
    }
}

/// What `of` says of each metric, without its type's suffix.
fn names(of: impl Iterator<Item = &'static str>) -> BTreeSet<&'static str> {
    of.map(|name| name.strip_suffix("_total").unwrap_or(name))
        .map(|name| name.strip_suffix("_info").unwrap_or(name))
        .collect()
}

#[test]
fn the_documentation_names_every_metric_and_no_other() {
    let answer = Exposition::new(Arc::new(Fake::new())).answer();
    let text: &'static str = String::from_utf8(answer.body.to_vec()).unwrap().leak();
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    let shown = names(helps.filter_map(|help| help.split(' ').next()));
    let operating = include_str!("../../../docs/operating.md");
    let (_, section) = operating.split_once("\n## Metrics\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
    let told = names(rows.filter_map(|row| row.split('`').next()));
    assert_eq!(shown, told);
}

#[test]
fn a_proxy_that_drains_is_not_ready() {
    let fake = Fake::new();
    fake.drain();
    let series = exposed(fake);
    assert_eq!(series["dqe_proxy_ready"], 0.0);
    assert_eq!(series["dqe_proxy_draining"], 1.0);
}
