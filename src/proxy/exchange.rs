//! One request and its answer, from the head that came in to the last byte
//! that went out: what is counted and logged about it when it ends.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, StatusCode, Version};

use super::Worker;
use super::code::Code;
use super::request_id::RequestId;
use crate::dqe::Scope;
use crate::telemetry::AccessRecord;

/// The record of a request. The request ends when this is dropped, normally with
/// the answer's body.
pub(super) struct Exchange {
    worker: Rc<Worker>,
    started: Instant,
    method: Method,
    version: Version,
    caller: IpAddr,
    request_id: RequestId,
    /// Index of the route, once there is one.
    route: Option<usize>,
    status: StatusCode,
    code: Code,
    attempts: u8,
    redirects: u8,
    token_wait: Duration,
    connect: Duration,
    first_byte: Duration,
    /// Counted by whoever reads the body; `None` when there is none.
    request_bytes: Option<Rc<Cell<u64>>>,
    response_bytes: u64,
}

impl Exchange {
    /// A request has arrived. Until something better is known it ends as
    /// "the caller has gone", which is what a dropped future means.
    pub(super) fn begin(
        worker: Rc<Worker>,
        started: Instant,
        method: Method,
        version: Version,
        caller: IpAddr,
        request_id: RequestId,
    ) -> Self {
        worker.counts().requests_started.add(1);
        Self {
            worker,
            started,
            method,
            version,
            caller,
            request_id,
            route: None,
            // The status nginx made customary for "client closed request"; it is only logged.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            code: Code::CallerGone,
            attempts: 0,
            redirects: 0,
            token_wait: Duration::ZERO,
            connect: Duration::ZERO,
            first_byte: Duration::ZERO,
            request_bytes: None,
            response_bytes: 0,
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    pub(super) fn is_connect(&self) -> bool {
        self.method == Method::CONNECT
    }

    /// The request has a body. Its bytes are counted in what is returned.
    pub(super) fn has_body(&mut self) -> Rc<Cell<u64>> {
        Rc::clone(self.request_bytes.get_or_insert_default())
    }

    pub(super) fn takes_route(&mut self, route: usize) {
        self.route = Some(route);
    }

    pub(super) fn attempt_begins(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The request is sent with a token of `scope` that has `left` of its `life`.
    pub(super) fn sends(&self, scope: Scope, left: Duration, life: Duration) {
        self.worker.counts().scopes[scope.index()]
            .life_left
            .observe(left, life);
    }

    /// The request will be sent again with a newer token of `scope`.
    pub(super) fn replays(&self, scope: Scope) {
        let counts = self.worker.counts();
        counts.routes[self.worker.label(self.route)].replays.add(1);
        counts.scopes[scope.index()].replays.add(1);
    }

    /// The request will be sent where DQE has redirected it. It stays a request
    /// of the route it came for.
    pub(super) fn follows_redirect(&mut self) {
        self.redirects = self.redirects.saturating_add(1);
        let counts = self.worker.counts();
        let route = &counts.routes[self.worker.label(self.route)];
        route.redirects.add(1);
    }

    pub(super) fn waited_for_token(&mut self, wait: Duration) {
        self.token_wait += wait;
    }

    pub(super) fn connected_in(&mut self, connect: Duration) {
        self.connect += connect;
    }

    pub(super) fn answered_in(&mut self, first_byte: Duration) {
        self.first_byte = first_byte;
    }

    /// The head of the answer is known, and what it means.
    pub(super) fn ends_as(&mut self, status: StatusCode, code: Code) {
        self.status = status;
        self.code = code;
    }

    /// The answer did not reach its end after all.
    pub(super) fn breaks_off(&mut self, code: Code) {
        self.code = code;
    }

    /// The caller took less than the whole answer, unless the server cut it first.
    pub(super) fn gone_if_not_cut(&mut self) {
        if !matches!(self.code, Code::AnswerCut | Code::BodyTooLarge) {
            self.code = Code::CallerGone;
        }
    }

    pub(super) fn passed_on(&mut self, bytes: usize) {
        self.response_bytes += bytes as u64;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let total = self.started.elapsed();
        let counts = self.worker.counts();
        let route = &counts.routes[self.worker.label(self.route)];
        route.outcomes[self.code as usize].add(1);
        route.latency.observe(total);
        counts.requests_ended.add(1);
        let Some(mut log) = self.worker.log() else {
            return;
        };
        let (route, scope) = self.worker.names(self.route);
        log.record(&AccessRecord {
            time: SystemTime::now(),
            request_id: self.request_id.as_str(),
            caller: self.caller,
            method: self.method.as_str(),
            route,
            scope,
            status: self.status.as_u16(),
            code: self.code.as_str(),
            request_bytes: self.request_bytes.as_ref().map_or(0, |bytes| bytes.get()),
            response_bytes: self.response_bytes,
            token_wait: self.token_wait,
            connect: self.connect,
            first_byte: self.first_byte,
            total,
            attempts: self.attempts,
            redirects: self.redirects,
            http_version: match self.version {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            },
        });
    }
}
