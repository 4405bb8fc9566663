//! One worker thread, from its seed to its end: a runtime of its own, with the
//! connections, the upstream pool and the log buffer of that thread.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use crate::config::Config;
use crate::http1::Spare;
use crate::metrics::Metrics;
use crate::proxy::{self, Admission, Worker};
use crate::quota::Quota;
use crate::server::{Acceptor, Crowd, Places};
use crate::telemetry::WorkerLog;
use crate::token::Engine;
use crate::upstream::{Client, SharedTls};

/// How often a worker flushes its log and closes stale connections.
const TIDY: Duration = Duration::from_secs(1);

/// What a worker thread is made of.
pub(super) struct Seed {
    pub(super) config: Config,
    pub(super) listener: std::net::TcpListener,
    pub(super) tls: SharedTls,
    pub(super) engines: Vec<Arc<Engine>>,
    pub(super) places: Arc<Places>,
    pub(super) crowd: Option<Arc<Crowd>>,
    pub(super) admission: Option<Arc<Admission>>,
    pub(super) at_server: Option<Arc<Quota>>,
    /// Most bytes of answers that are held for callers who do not take them, before
    /// answers are read in shorter pieces.
    pub(super) most_held: usize,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Option<WorkerLog>,
    pub(super) id_prefix: u64,
    pub(super) index: usize,
    pub(super) draining: watch::Receiver<bool>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Seed {
    /// The whole life of a worker thread.
    pub(super) fn work(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            // Only name look-ups block.
            .max_blocking_threads(4)
            .build_local(LocalOptions::default())?;
        let result = runtime.block_on(self.serve());
        runtime.shutdown_background();
        result
    }

    async fn serve(self) -> io::Result<()> {
        let settings = &self.config.proxy;
        let token_path = settings.token_path.clone();
        let routes = proxy::route::RouteTable::new(&settings.routes, token_path, |scope| {
            self.engines.iter().find_map(|engine| engine.cell(scope))
        });
        let spare = Rc::new(Spare::holding_at_most(self.most_held));
        let client = Client::new(
            self.config.upstream.clone(),
            self.tls,
            self.at_server,
            Rc::clone(&spare),
        );
        let worker = Worker::new(
            self.config.proxy,
            self.admission,
            routes,
            client,
            Arc::clone(&self.metrics),
            self.index,
            self.log,
            self.id_prefix,
        );
        let acceptor = Acceptor::new(
            self.config.listener,
            self.places,
            self.crowd,
            self.metrics,
            self.index,
            spare,
        );
        let deadlines = Rc::clone(acceptor.deadlines());
        tokio::task::spawn_local(async move { deadlines.tick_forever().await });
        let tidied = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            let mut ticks = tokio::time::interval(TIDY);
            loop {
                ticks.tick().await;
                tidied.tidy();
            }
        });
        let handler = {
            let worker = Rc::clone(&worker);
            move |head, incoming, caller| Rc::clone(&worker).answer(head, incoming, caller)
        };
        let on_streams = Rc::clone(&worker);
        acceptor.on_streams(move |head, incoming, caller| {
            Rc::clone(&on_streams).answer_on_stream(head, incoming, caller)
        });
        let mut stopping = self.stopping;
        let served = tokio::select! {
            served = acceptor.serve(self.listener, handler, self.draining) => served,
            _ = stopping.wait_for(|stop| *stop) => Ok(()),
        };
        worker.tidy();
        served
    }
}
