//! What the admin listener may see of the running proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::{Logs, memory};
use crate::admin::{self, LastError, Renewals};
use crate::metrics::Metrics;
use crate::proxy::Admission;
use crate::telemetry::{AccessLog, EventLog};
use crate::token::{self, Engine};

/// What the admin listener may see.
pub(super) struct View {
    pub(super) engines: Vec<Arc<Engine>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: AtomicBool,
    pub(super) logs: Logs,
    pub(super) admission: Arc<Admission>,
    pub(super) started: SystemTime,
}

impl admin::Source for View {
    fn tokens(&self) -> Vec<admin::TokenView> {
        let cells = self.engines.iter().flat_map(|engine| engine.cells());
        cells.map(|cell| token_view(&cell.view())).collect()
    }

    fn token_events(&self) -> Vec<token::Event> {
        if let [engine] = &self.engines[..] {
            return engine.events();
        }
        let mut events: Vec<token::Event> = self
            .engines
            .iter()
            .flat_map(|engine| engine.events())
            .collect();
        events.sort_by_key(|event| event.at);
        events.split_off(events.len().saturating_sub(token::Event::KEPT))
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    fn access_log_dropped(&self) -> Option<u64> {
        self.logs.access.as_deref().map(AccessLog::dropped)
    }

    fn event_log_dropped(&self) -> u64 {
        self.logs.events.as_deref().map_or(0, EventLog::dropped)
    }

    fn resident_memory(&self) -> Option<u64> {
        memory::resident()
    }

    fn is_memory_short(&self) -> bool {
        self.admission.is_memory_short()
    }

    fn started(&self) -> SystemTime {
        self.started
    }
}

fn token_view(cell: &token::CellView) -> admin::TokenView {
    let without_reason = |outcome, count| Renewals {
        outcome,
        reason: "",
        count,
    };
    let well = [
        without_reason("granted", cell.renewals_granted),
        without_reason("repeated", cell.renewals_repeated),
    ];
    let failed = cell.renewals_failed.iter().map(|(reason, count)| Renewals {
        outcome: if reason.is_permanent() {
            "permanent"
        } else {
            "transient"
        },
        reason: reason.as_str(),
        count: *count,
    });
    admin::TokenView {
        scope: cell.scope.as_str(),
        state: cell.state,
        seconds_to_expiry: cell.left.map(|left| left.as_secs_f64()),
        life_seconds: cell.life.map(|life| life.as_secs_f64()),
        generation: cell.generation,
        renewals: well.into_iter().chain(failed).collect(),
        slack: cell.slack,
        calls: cell.calls,
        forced_renewals: cell.forced_renewals,
        same_token: cell.same_token,
        restarts: cell.restarts,
        waits: cell.waits,
        waited_seconds: cell.waited.as_secs_f64(),
        next_renewal_seconds: cell.next_attempt.as_secs_f64(),
        last_error: cell.last_error.map(|reason| LastError {
            code: reason.as_str(),
            sentence: reason.sentence(),
        }),
    }
}
