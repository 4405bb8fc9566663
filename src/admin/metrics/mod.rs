//! The counters as OpenMetrics text, added up over the worker threads at the
//! moment somebody asks. Label values come from settings, from the catalogue
//! and from fixed lists, never from a request.

mod families;

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::StatusCode;
use http::header::HeaderValue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::registry::Registry;

use self::families::{
    ACCEPTS_FAILED, ACCESS_LOG_DROPPED, BUILD, CALLER_CONNECTIONS, CALLER_CONNECTIONS_OPENED,
    CALLER_CONNECTIONS_PARKED, CALLER_CONNECTIONS_REFUSED, CALLER_CONNECTIONS_SHED, DRAINING,
    EVENT_LOG_DROPPED, Family, HEADS_REFUSED, MEMORY_SHORT, READY, REDIRECTS_FOLLOWED, REPLAYS,
    REQUEST_DURATION, REQUESTS, REQUESTS_IN_FLIGHT, RESIDENT_MEMORY, START_TIME, TOKEN_CALLS,
    TOKEN_FORCED_RENEWALS, TOKEN_GENERATION, TOKEN_LIFE_LEFT, TOKEN_RENEWALS, TOKEN_REPLAYS,
    TOKEN_RESTARTS, TOKEN_SAME, TOKEN_SECONDS_TO_EXPIRY, TOKEN_SLACK, TOKEN_STATE,
    TOKEN_WAIT_SECONDS, TOKEN_WAITS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED,
};
use super::source::{TokenView, is_ready};
use super::{Answer, Source};
use crate::metrics::{
    Count, HEAD_REFUSALS, LATENCY_BOUNDS, Metrics, RATIO_BOUNDS, RatioSums, RouteMetrics,
    SHED_REASONS, WorkerMetrics,
};
use crate::token::TokenState;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What `/metrics` answers.
pub(super) struct Exposition(Registry);

impl Exposition {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot(source)));
        Self(registry)
    }

    pub(super) fn answer(&self) -> Answer {
        let mut text = String::new();
        if encode(&mut text, &self.0).is_err() {
            return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be encoded\n");
        }
        Answer {
            status: StatusCode::OK,
            content_type: CONTENT_TYPE,
            body: text.into(),
        }
    }
}

struct Snapshot(Arc<dyn Source>);

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        let source = self.0.as_ref();
        let metrics = source.metrics();
        push_requests(&mut out, &metrics)?;
        push_connections(&mut out, &metrics)?;
        let tokens = source.tokens();
        push_tokens(&mut out, &tokens)?;
        push_token_use(&mut out, &metrics, &tokens)?;
        push_process(&mut out, source, &tokens)
    }
}

fn push_requests(out: &mut Out<'_>, metrics: &Metrics) -> fmt::Result {
    let routes: Vec<RouteSum> = (0..metrics.route_names.len())
        .map(|route| RouteSum::new(metrics, route))
        .collect();
    let named = || metrics.route_names.iter().map(String::as_str).zip(&routes);

    let mut family = out.family(&REQUESTS)?;
    for (route, sum) in named() {
        for (outcome, count) in metrics.outcome_names.iter().zip(&sum.outcomes) {
            // Routes times outcomes are many, and most pairs never happen.
            if *count > 0 {
                let labels = [("route", route), ("outcome", *outcome)];
                count_of(&mut family.encode_family(&labels)?, *count)?;
            }
        }
    }
    let mut family = out.family(&REQUEST_DURATION)?;
    for (route, sum) in named() {
        if sum.durations > 0 {
            family
                .encode_family(&[("route", route)])?
                .encode_histogram::<NoLabelSet>(sum.seconds, sum.durations, &sum.buckets, None)?;
        }
    }
    let mut family = out.family(&REPLAYS)?;
    for (route, sum) in named() {
        if sum.replays > 0 {
            count_of(&mut family.encode_family(&[("route", route)])?, sum.replays)?;
        }
    }
    let mut family = out.family(&REDIRECTS_FOLLOWED)?;
    for (route, sum) in named() {
        if sum.redirects > 0 {
            count_of(
                &mut family.encode_family(&[("route", route)])?,
                sum.redirects,
            )?;
        }
    }
    // Ends before starts: a request that ends in between must not count as -1.
    let ended = sum(metrics, |worker| &worker.requests_ended);
    let started = sum(metrics, |worker| &worker.requests_started);
    out.gauge(&REQUESTS_IN_FLIGHT, started.saturating_sub(ended))
}

fn push_connections(out: &mut Out<'_>, metrics: &Metrics) -> fmt::Result {
    let closed = sum(metrics, |worker| &worker.connections_closed);
    let opened = sum(metrics, |worker| &worker.connections_opened);
    let refused = sum(metrics, |worker| &worker.connections_refused);
    out.gauge(&CALLER_CONNECTIONS, opened.saturating_sub(closed))?;
    // As with requests: what ends in between must not count as -1.
    let unparked = sum(metrics, |worker| &worker.connections_unparked);
    let parked = sum(metrics, |worker| &worker.connections_parked);
    out.gauge(&CALLER_CONNECTIONS_PARKED, parked.saturating_sub(unparked))?;
    out.counter(&CALLER_CONNECTIONS_OPENED, opened)?;
    out.counter(&CALLER_CONNECTIONS_REFUSED, refused)?;
    let mut family = out.family(&CALLER_CONNECTIONS_SHED)?;
    for (index, reason) in SHED_REASONS.into_iter().enumerate() {
        let shed = sum(metrics, |worker| &worker.connections_shed[index]);
        count_of(&mut family.encode_family(&[("reason", reason)])?, shed)?;
    }
    let mut family = out.family(&HEADS_REFUSED)?;
    for (index, status) in HEAD_REFUSALS.into_iter().enumerate() {
        let refused = sum(metrics, |worker| &worker.heads_refused[index]);
        count_of(&mut family.encode_family(&[("status", status)])?, refused)?;
    }
    let failed = sum(metrics, |worker| &worker.accepts_failed);
    out.counter(&ACCEPTS_FAILED, failed)?;
    let closed = sum(metrics, |worker| &worker.upstream_connections_closed);
    let opened = sum(metrics, |worker| &worker.upstream_connections_opened);
    out.gauge(&UPSTREAM_CONNECTIONS, opened.saturating_sub(closed))?;
    out.counter(&UPSTREAM_CONNECTIONS_OPENED, opened)
}

fn push_tokens(out: &mut Out<'_>, tokens: &[TokenView]) -> fmt::Result {
    let mut family = out.family(&TOKEN_STATE)?;
    for token in tokens {
        for state in TokenState::ALL {
            let labels = [("scope", token.scope), ("state", state.as_str())];
            let is_current = u64::from(token.state == state);
            family.encode_family(&labels)?.encode_gauge(&is_current)?;
        }
    }
    let mut family = out.family(&TOKEN_SECONDS_TO_EXPIRY)?;
    for token in tokens {
        if let Some(seconds) = &token.seconds_to_expiry {
            let labels = [("scope", token.scope)];
            family.encode_family(&labels)?.encode_gauge(seconds)?;
        }
    }
    let mut family = out.family(&TOKEN_GENERATION)?;
    for token in tokens {
        let labels = [("scope", token.scope)];
        family
            .encode_family(&labels)?
            .encode_gauge(&token.generation)?;
    }
    let mut family = out.family(&TOKEN_RENEWALS)?;
    for token in tokens {
        for renewals in &token.renewals {
            let labels = [
                ("scope", token.scope),
                ("outcome", renewals.outcome),
                ("reason", renewals.reason),
            ];
            count_of(&mut family.encode_family(&labels)?, renewals.count)?;
        }
    }
    push_ratios(out, &TOKEN_SLACK, tokens, |it| it.slack)?;
    push_counts(out, &TOKEN_CALLS, tokens, |it| it.calls)?;
    push_counts(out, &TOKEN_FORCED_RENEWALS, tokens, |it| it.forced_renewals)?;
    push_counts(out, &TOKEN_SAME, tokens, |it| it.same_token)?;
    push_counts(out, &TOKEN_RESTARTS, tokens, |it| it.restarts)?;
    push_counts(out, &TOKEN_WAITS, tokens, |it| it.waits)?;
    let mut family = out.family(&TOKEN_WAIT_SECONDS)?;
    for token in tokens {
        let labels = [("scope", token.scope)];
        family
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, f64, f64>(&token.waited_seconds, None)?;
    }
    Ok(())
}

/// What the worker threads counted per scope, for each scope that a token is
/// kept for.
fn push_token_use(out: &mut Out<'_>, metrics: &Metrics, tokens: &[TokenView]) -> fmt::Result {
    let used = |token: &TokenView| {
        let mut names = metrics.scope_names.iter();
        let place = names.position(|name| *name == token.scope);
        let workers = metrics.workers.iter();
        workers.filter_map(move |worker| worker.scopes.get(place?))
    };
    push_ratios(out, &TOKEN_LIFE_LEFT, tokens, |token| {
        let mut sums = RatioSums::default();
        used(token).for_each(|scope| scope.life_left.add_to(&mut sums));
        sums
    })?;
    push_counts(out, &TOKEN_REPLAYS, tokens, |token| {
        used(token).map(|scope| scope.replays.value()).sum()
    })
}

/// One histogram of shares per scope.
fn push_ratios(
    out: &mut Out<'_>,
    family: &Family,
    tokens: &[TokenView],
    sums: impl Fn(&TokenView) -> RatioSums,
) -> fmt::Result {
    let mut family = out.family(family)?;
    for token in tokens {
        let RatioSums { buckets, sum } = sums(token);
        let bounds = RATIO_BOUNDS.into_iter().chain([f64::INFINITY]);
        let bounded: Vec<(f64, u64)> = bounds.zip(buckets).collect();
        let count = buckets.iter().sum();
        family
            .encode_family(&[("scope", token.scope)])?
            .encode_histogram::<NoLabelSet>(sum, count, &bounded, None)?;
    }
    Ok(())
}

/// One counter per scope.
fn push_counts(
    out: &mut Out<'_>,
    family: &Family,
    tokens: &[TokenView],
    count: impl Fn(&TokenView) -> u64,
) -> fmt::Result {
    let mut family = out.family(family)?;
    for token in tokens {
        let labels = [("scope", token.scope)];
        count_of(&mut family.encode_family(&labels)?, count(token))?;
    }
    Ok(())
}

fn push_process(out: &mut Out<'_>, source: &dyn Source, tokens: &[TokenView]) -> fmt::Result {
    let is_draining = source.is_draining();
    out.gauge(&READY, u64::from(is_ready(is_draining, tokens)))?;
    out.gauge(&DRAINING, u64::from(is_draining))?;
    if let Some(dropped) = source.access_log_dropped() {
        out.counter(&ACCESS_LOG_DROPPED, dropped)?;
    }
    out.counter(&EVENT_LOG_DROPPED, source.event_log_dropped())?;
    out.gauge(&MEMORY_SHORT, u64::from(source.is_memory_short()))?;
    if let Some(resident) = source.resident_memory() {
        out.gauge(&RESIDENT_MEMORY, resident)?;
    }
    out.family(&BUILD)?
        .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
    let started = source.started().duration_since(UNIX_EPOCH);
    out.family(&START_TIME)?
        .encode_gauge(&started.unwrap_or_default().as_secs_f64())
}

/// A route, over all worker threads.
struct RouteSum {
    outcomes: Vec<u64>,
    /// Upper bound and count of each bucket, not cumulated.
    buckets: Vec<(f64, u64)>,
    seconds: f64,
    durations: u64,
    replays: u64,
    redirects: u64,
}

impl RouteSum {
    fn new(metrics: &Metrics, route: usize) -> Self {
        let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
        let mut sum = Self {
            outcomes: vec![0; metrics.outcome_names.len()],
            buckets: bounds.map(|bound| (bound, 0)).collect(),
            seconds: 0.0,
            durations: 0,
            replays: 0,
            redirects: 0,
        };
        for worker in &metrics.workers {
            sum.add(&worker.routes[route]);
        }
        // The sum of the very buckets that are shown, as others go on counting.
        sum.durations = sum.buckets.iter().map(|(_, count)| count).sum();
        sum
    }

    fn add(&mut self, route: &RouteMetrics) {
        for (sum, count) in self.outcomes.iter_mut().zip(&route.outcomes) {
            *sum += count.value();
        }
        for ((_, sum), count) in self.buckets.iter_mut().zip(route.latency.buckets()) {
            *sum += count;
        }
        self.seconds += route.latency.sum_seconds();
        self.replays += route.replays.value();
        self.redirects += route.redirects.value();
    }
}

fn sum(metrics: &Metrics, count: impl Fn(&WorkerMetrics) -> &Count) -> u64 {
    let workers = metrics.workers.iter();
    workers.map(|worker| count(worker).value()).sum()
}

fn count_of(metric: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

/// Where families are written to.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn family<'s>(&'s mut self, family: &Family) -> Result<MetricEncoder<'s>, fmt::Error> {
        let Family(name, kind, help) = *family;
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn counter(&mut self, family: &Family, count: u64) -> fmt::Result {
        count_of(&mut self.family(family)?, count)
    }

    fn gauge(&mut self, family: &Family, value: u64) -> fmt::Result {
        self.family(family)?.encode_gauge(&value)
    }
}

#[cfg(test)]
mod tests;
