//! The request path, in order: gate → route → token → attempt → answer.
//!
//! One [`Worker`] per thread holds everything its requests need; nothing of it
//! is shared with another thread but the token cells and the counters. A
//! request is one future inside its connection's task and spawns nothing.

mod admission;
mod attempt;
mod carry;
mod code;
mod cors;
mod decide;
mod error;
mod exchange;
mod gate;
mod headers;
mod host;
#[doc(hidden)]
pub mod hot_parts;
mod inspect;
mod redirect;
mod reference;
mod relay;
mod request_id;
mod response;
pub mod route;
mod scrub;
mod spelling;
mod suspicion;
mod upload;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Uri};
use http_body::Body;
use secrecy::{ExposeSecret, SecretString};

pub use admission::Admission;
pub use code::Code;
pub use error::{Appearance, ProxyError};
pub use response::Answer;
pub use upload::OutgoingBody;

use crate::caller::Caller;
use crate::dqe::TokenPath;
use crate::http1::{Incoming, RequestHead, Response};
use crate::metrics::{Metrics, WorkerMetrics};
use crate::telemetry::{LogThrottle, WorkerLog};
use crate::upstream::Client;
use admission::{Door, Permit};
use carry::{InUse, Payload, Place};
use cors::Reader;
use exchange::Exchange;
use gate::{Gate, HeadLimits, Passage};
use headers::Noted;
use inspect::Beginning;
use relay::{Form, Relays};
use request_id::RequestId;
use route::{NoRoute, Route, RouteTable};
use scrub::{Scrubber, Secret};
use suspicion::Suspicions;
use upload::{Bounds, Upload};

/// What the request path is told by the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host names answered, in lower case without port; empty answers all.
    pub hosts: Vec<String>,
    /// Origins (`https://intranet.example`) whose pages may call across sites
    /// and read the answers.
    pub origins: Vec<String>,
    /// Most bytes in the head of a request.
    pub max_head: usize,
    /// Most fields in the head of a request.
    pub max_fields: usize,
    /// Most bytes in the body of a request whose route says nothing else.
    pub max_body: u64,
    /// Longest time from the request being sent to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Longest silence while a body is on its way, in either direction.
    pub body_idle_timeout: Duration,
    /// Longest time a request may take in all, its answer's body included.
    pub total_timeout: Duration,
    /// Longest time a caller is held when there is no usable token.
    pub token_wait: Duration,
    /// The licence code, to be masked in DQE's errors where it is there.
    pub licence: Option<SecretString>,
    /// Routes in order of rising precedence: the catalogue first, `[[route]]` after it.
    pub routes: Vec<route::Rule>,
    /// Where tokens are asked for: closed to callers on every server.
    pub token_path: TokenPath,
    /// Paths where the URL of a call is posted, none of them a route's.
    pub relays: Vec<String>,
}

/// Label of requests that matched no route; the first of the route names.
pub const NO_ROUTE: &str = "none";

/// Route labels for the metrics of these settings, in the order the worker counts them.
#[must_use]
pub fn route_names(settings: &Settings) -> Vec<String> {
    let routes = route::in_force(&settings.routes);
    let names = routes.iter().map(route::Rule::name);
    std::iter::once(NO_ROUTE.to_owned()).chain(names).collect()
}

/// One thread's request path.
pub struct Worker {
    settings: Settings,
    gate: Gate,
    /// `None` when any number of requests is let in.
    door: Option<Door>,
    routes: RouteTable,
    relays: Relays,
    client: Rc<Client>,
    metrics: Arc<Metrics>,
    index: usize,
    log: Option<RefCell<WorkerLog>>,
    suspicions: Suspicions,
    /// What happens under pressure, for the log.
    pressure: [LogThrottle; 4],
    in_use: InUse,
    /// The licence code, unless it is too short to be told from other text.
    licence: Option<Rc<Secret>>,
    /// Half of each request id: random per worker, so that ids never repeat across restarts.
    id_prefix: u64,
    next_id: Cell<u64>,
}

impl Worker {
    /// `index` is this thread's place in `metrics`; `id_prefix` is random. Without
    /// an `admission` any number of requests is let in.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "what a thread is made of")]
    pub fn new(
        settings: Settings,
        admission: Option<Arc<Admission>>,
        routes: RouteTable,
        client: Rc<Client>,
        metrics: Arc<Metrics>,
        index: usize,
        log: Option<WorkerLog>,
        id_prefix: u64,
    ) -> Rc<Self> {
        let gate = Gate::new(
            settings.hosts.clone(),
            &settings.origins,
            HeadLimits {
                bytes: settings.max_head,
                fields: settings.max_fields,
            },
        );
        let licence = settings.licence.as_ref();
        let licence = licence.and_then(|code| Secret::new(code.expose_secret().as_bytes()));
        Rc::new(Self {
            relays: Relays::new(&settings.relays),
            settings,
            licence: licence.map(Rc::new),
            gate,
            door: admission.map(Door::new),
            routes,
            client,
            metrics,
            index,
            log: log.map(RefCell::new),
            suspicions: Suspicions::default(),
            pressure: Default::default(),
            in_use: InUse::default(),
            id_prefix,
            next_id: Cell::new(0),
        })
    }

    /// Answers one request. Never fails: what goes wrong becomes an answer.
    ///
    /// What needs no waiting is done before the future is made, and what the
    /// future works on is in one box: the future is moved about, so it is small.
    pub fn answer(
        self: Rc<Self>,
        head: RequestHead,
        incoming: Incoming,
        caller: Caller,
    ) -> impl Future<Output = Response<Answer>> + use<> {
        self.answer_where::<false>(head, incoming, caller)
    }

    /// Answers one request that has come on a stream of HTTP/2; see [`Self::answer`].
    ///
    /// What is compiled for this is not what is compiled for HTTP/1: with one caller
    /// each it becomes part of its connection's, and nothing it returns is copied,
    /// which would cost each request some 270 instructions. What both are made of is
    /// `inline(always)` for the same reason.
    pub fn answer_on_stream(
        self: Rc<Self>,
        head: RequestHead,
        incoming: Incoming,
        caller: Caller,
    ) -> impl Future<Output = Response<Answer>> + use<> {
        self.answer_where::<true>(head, incoming, caller)
    }

    fn answer_where<const ON_STREAM: bool>(
        self: Rc<Self>,
        head: RequestHead,
        incoming: Incoming,
        caller: Caller,
    ) -> impl Future<Output = Response<Answer>> + use<ON_STREAM> {
        let prepared = self.prepare::<ON_STREAM>(head, incoming, caller);
        async move {
            let (error, mut call) = match prepared {
                Ok((Passage::GoesOn, mut call)) => match attempt::send(&mut call).await {
                    Ok(answer) => return response::forwarded(answer, call),
                    Err(error) => (error, call),
                },
                Ok((Passage::EndsHere, mut call)) => {
                    let head = response::options(&mut call);
                    let body = Answer::Own { body: None, call };
                    return Response { head, body };
                }
                Ok((Passage::Preflight, mut call)) => {
                    let head = response::preflight(&mut call);
                    let body = Answer::Own { body: None, call };
                    return Response { head, body };
                }
                Err(refused) => refused,
            };
            call.worker.report(&error, &call.exchange);
            call.payload = Payload::Empty;
            // The answer itself must reach the caller within reason, whatever ran out before.
            let idle_timeout = call.worker.settings.body_idle_timeout;
            call.caller.deadline.clear_total();
            call.caller.deadline.allow(idle_timeout);
            let (head, body) = response::refused(&error, &mut call);
            let body = Some(body);
            let body = Answer::Own { body, call };
            Response { head, body }
        }
    }

    /// Gate, route, and everything else that is known before a token is.
    fn prepare<const ON_STREAM: bool>(
        self: Rc<Self>,
        head: RequestHead,
        incoming: Incoming,
        caller: Caller,
    ) -> Result<(Passage, Box<Call>), (ProxyError, Box<Call>)> {
        let noted = Noted::in_request(&head.fields);
        let exchange = self.begin(&head, noted, &caller);
        let reader = self.gate.reader(&head.fields, noted);
        let checked = self.gate.check(&head, noted, &reader);
        let mut call = Box::new(Call {
            worker: self,
            route: 0,
            redirected: Vec::new(),
            relay: None,
            head,
            noted,
            payload: Payload::Empty,
            place: Place::Nowhere,
            length: None,
            beginning: Beginning::default(),
            scrubber: None,
            reader,
            caller,
            permit: None,
            exchange,
        });
        let passed = checked.and_then(|passage| match passage {
            Passage::GoesOn => call.find_way(incoming).map(|()| passage),
            Passage::EndsHere | Passage::Preflight => Ok(passage),
        });
        match passed {
            Ok(passage) => Ok((passage, call)),
            Err(error) => Err((error, call)),
        }
    }

    #[inline(always)]
    fn begin(self: &Rc<Self>, head: &RequestHead, noted: Noted, caller: &Caller) -> Exchange {
        let given = if noted.request_id {
            RequestId::given(&head.fields)
        } else {
            None
        };
        let id = given.unwrap_or_else(|| self.new_id());
        let (method, version) = (head.method.clone(), head.version);
        let started = caller.deadline.turn();
        Exchange::begin(
            Rc::clone(self),
            started,
            method,
            version,
            caller.address,
            id,
        )
    }

    /// A failure is logged once, here, with its causes; refusals of what
    /// callers ask are in the access log and need no line of their own.
    fn report(&self, error: &ProxyError, exchange: &Exchange) {
        let appearance = error.appearance();
        let is_refusal =
            appearance.code == Code::CodingNotSupported || appearance.code == Code::LoopDetected;
        if is_refusal || !appearance.status.is_server_error() {
            return;
        }
        // Under pressure the same failure comes a thousand times a second.
        let throttle = self.under_pressure(appearance.code);
        let times = throttle.and_then(|throttle| throttle.count(Instant::now()));
        if throttle.is_some() && times.is_none() {
            return;
        }
        let causes =
            std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        tracing::warn!(
            code = appearance.code.as_str(),
            request_id = exchange.request_id().as_str(),
            cause = (!causes.is_empty()).then(|| causes.join(": ")),
            times,
            "{error}"
        );
    }

    /// What is said now and then only; any other failure is said each time.
    fn under_pressure(&self, code: Code) -> Option<&LogThrottle> {
        let codes = [
            Code::TooManyRequests,
            Code::MemoryShort,
            Code::UpstreamFull,
            Code::OutOfSockets,
        ];
        let index = codes.iter().position(|one| *one == code)?;
        self.pressure.get(index)
    }

    fn new_id(&self) -> RequestId {
        let count = self.next_id.get();
        self.next_id.set(count.wrapping_add(1));
        RequestId::made(self.id_prefix, count)
    }

    fn counts(&self) -> &WorkerMetrics {
        &self.metrics.workers[self.index]
    }

    /// Place of a route among the labels of the metrics.
    fn label(&self, route: Option<usize>) -> usize {
        route.map_or(0, |index| index + 1)
    }

    fn names(&self, route: Option<usize>) -> (&str, &str) {
        match route {
            Some(index) => {
                let route = self.routes.route(index);
                (&route.name, route.scope.as_str())
            }
            None => (NO_ROUTE, ""),
        }
    }

    fn log(&self) -> Option<RefMut<'_, WorkerLog>> {
        self.log.as_ref().map(RefCell::borrow_mut)
    }

    /// Housekeeping, to be called about once a second and at the end: hands
    /// the access log on and closes connections that have been idle too long.
    pub fn tidy(&self) {
        if let Some(mut log) = self.log() {
            log.flush();
        }
        self.client.sweep(Instant::now());
        let (counts, made) = (self.counts(), self.client.counts());
        counts.upstream_connections_opened.set(made.opened.get());
        counts.upstream_connections_closed.set(made.closed.get());
    }
}

/// One request on its way to DQE, and its record.
pub struct Call {
    worker: Rc<Worker>,
    /// Index of the route.
    route: usize,
    /// The targets that DQE has redirected the call from, in order.
    redirected: Vec<Uri>,
    /// It came to a relay path: what its caller expects.
    relay: Option<Form>,
    /// The request as it came, except for its target, which is the one sent to DQE.
    head: RequestHead,
    noted: Noted,
    payload: Payload,
    /// Where the licence parameter goes, once a form has been read.
    place: Place,
    /// The length of a form that is not as the caller framed it.
    length: Option<HeaderValue>,
    /// What has been read of the answer's body before it is passed on.
    beginning: Beginning,
    /// Masks the credential in the answer's body, where it may stand.
    scrubber: Option<Scrubber>,
    /// Whom browsers are told that the answer is for.
    reader: Reader,
    caller: Caller,
    /// Held until the answer has ended.
    permit: Option<Permit>,
    exchange: Exchange,
}

impl Call {
    /// Finds the route and the target, and takes over the body.
    #[inline(always)]
    fn find_way(&mut self, incoming: Incoming) -> Result<(), ProxyError> {
        let settings = &self.worker.settings;
        let deadline = &self.caller.deadline;
        deadline.set_total(self.exchange.started() + settings.total_timeout);
        if let Some(form) = self.worker.relays.find(self.head.uri.path()) {
            return self.enters_relay(form, incoming);
        }
        self.take_route()?;
        self.enters()?;
        if self.noted.max_forwards {
            headers::count_down(&self.head.method, &mut self.head.fields);
        }
        self.head.uri = carry::origin_form(std::mem::take(&mut self.head.uri))?;
        if !incoming.is_end_stream() {
            let most = self.route().max_body;
            let most = most.unwrap_or(self.worker.settings.max_body);
            let upload = self.upload(incoming, most)?;
            self.payload = Payload::new(upload, &self.head.fields);
            if matches!(self.payload, Payload::Unread(..)) {
                return Ok(());
            }
        }
        self.settle()
    }

    /// Finds the route of the target.
    fn take_route(&mut self) -> Result<(), ProxyError> {
        let route = self.worker.routes.find(self.head.uri.path());
        self.route = route.map_err(|none| match none {
            NoRoute::Unknown => ProxyError::RouteNotFound,
            NoRoute::Ambiguous => ProxyError::TargetNotAllowed,
        })?;
        self.exchange.takes_route(self.route);
        Ok(())
    }

    /// Lets the call in, unless too many are being answered.
    fn enters(&mut self) -> Result<(), ProxyError> {
        if let Some(door) = &self.worker.door {
            self.permit = Some(door.enter()?);
        }
        Ok(())
    }

    /// Takes over a body that is not empty, of at most `most` bytes.
    fn upload(&mut self, incoming: Incoming, most: u64) -> Result<Rc<Upload>, ProxyError> {
        let settings = &self.worker.settings;
        let bounds = Bounds {
            most,
            idle_timeout: settings.body_idle_timeout,
            first_byte_timeout: settings.first_byte_timeout,
        };
        let upload = Upload::new(incoming, &self.caller, self.exchange.has_body(), bounds);
        upload.map_err(|_| ProxyError::BodyTooLarge)
    }

    fn route(&self) -> &Route {
        self.worker.routes.route(self.route)
    }
}
