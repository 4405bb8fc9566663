//! An authenticating reverse proxy for the DQE Software APIs. Callers send
//! plain HTTP without a credential; DQE receives the same call with
//! `Authorization: Bearer …` of the right scope.
//!
//! This page is the map: the life of a request, the life of a token, the parts
//! and who may import whom.
//!
//! # The life of a request
//!
//! ```text
//! server     accept → allow list → Caller; a socket and a deadline until a byte comes; one message read
//! proxy      1 gate     method, length, Host, Origin, loop           else refused;
//!                       a browser's preflight                        204, nothing forwarded
//!            2 route    find(path) on the raw path → Route           else 404
//!                       (of a relay path: that of the URL in the body)
//!              permit   requests in flight, memory → Permit          else 503
//!            3 token    the route's cell → usable token, wait-free   else 503
//!            4 attempt  a form is read whole; token into header, query or form; headers
//!                       cleaned → send → head of the answer looked at → decide:
//!                       Deliver | RenewAndReplay | ReplayIfRenewed | RenewAndFail | Repeat | Fail;
//!                       a redirect to the server itself: another attempt, at its target
//!            5 answer   hop-by-hop out, Via, body streamed; its end is counted and logged
//! server     head and first piece written together; then the next request
//! ```
//!
//! One future inside the connection's task does all of it ([`proxy::Worker::answer`]).
//! Time-outs are one coarse deadline per connection ([`deadline`]), moved as
//! the work goes on. Over HTTP/2 (`listener.h2c`) a connection has many requests: each
//! is a stream with a task and a deadline of its own, and the rest is the same.
//!
//! # The life of a token
//!
//! ```text
//! renew_forever (one task per scope, control thread)
//!   → endpoint: client_id, client_secret, scope in the form the settings name, under a time-out
//!     (ID Mobile's token: engine, endpoint and form of its own)
//!   → token_reply: granted | transient | permanent
//!   → schedule: what next, and when (pure)
//!   → AccessToken {ready header value, generation, two clocks} → ArcSwap in its Cell
//! read by attempts without waiting; a rejected generation is renewed once, for all who had it
//! ```
//!
//! # Threads
//!
//! One control thread (renewal, admin, commands) and N worker threads, each
//! with its own runtime, connections, upstream pool, counters and log buffer.
//! They share the listening socket, the token cells (`ArcSwap`), counters
//! that only their own thread writes, and limits whose places are dealt out
//! ([`quota`]): in a steady state a request writes to nothing that another
//! thread's requests use.
//!
//! # Parts, and who may import whom
//!
//! | part | what it is | imports |
//! |---|---|---|
//! | `main`, `cli` | arguments → subcommand → exit code; the only place that prints | everything public |
//! | [`app`] | settings → parts → a running proxy; reload, drain | `config`, `server`, `proxy`, `token`, `upstream`, `admin`, leaves |
//! | [`config`] | text → valid settings, every problem at once | the settings of `server`, `proxy`, `token`, `upstream` and `admin`, leaves |
//! | [`server`] | accepts connections and speaks HTTP/1.1 with callers, and HTTP/2 where it is switched on; knows no route and no token | leaves |
//! | [`proxy`] | the request path | `token`, `upstream`, leaves |
//! | [`token`] | the token path | leaves |
//! | [`upstream`] | one DQE server, the connections to it, the HTTP/1.1 client | leaves |
//! | [`admin`] | second listener: health, metrics and status | `token`, `upstream` (views), leaves |
//! | [`doctor`] | what keeps calls from working, found out step by step | `token`, `upstream`, leaves |
//! | [`sandbox`] | a fake DQE for people and tests | nothing of ours |
//! | [`dqe`] | what is true of DQE alone; pure | – (leaf) |
//! | [`http1`] | what HTTP/1.1 messages are made of, on both sides: heads, fields, framing, a body that arrives | – (leaf) |
//! | [`secret`], [`caller`], [`deadline`], [`egress`], [`metrics`], [`quota`], [`telemetry`] | leaves, importable by all | `caller` → `deadline`, `egress` → `secret` |
//!
//! [`server::hot_parts`], [`proxy::hot_parts`] and [`upstream::hot_parts`] open what is
//! private to `benches/hot_parts.rs` and `fuzz/`; the program itself does not use them.
//!
//! # Invariants
//!
//! The first six are checked by `tests/it/layering.rs`.
//!
//! 1. No part imports `config` or `app`; text stops at `config`; each part owns
//!    its settings type, plain and already valid.
//! 2. `server` does not know `proxy`; `token` and `upstream` know neither each
//!    other nor `proxy`.
//! 3. serde derives stand only on types whose purpose is a format at the border.
//! 4. Tasks are spawned only in `app`, `server`, `sandbox` and `cli`, and the log
//!    writer's thread in `telemetry`: a request adds none of its own (except that a
//!    stream of HTTP/2 is one), and a connection to DQE is driven by the request
//!    that uses it.
//! 5. The request path speaks HTTP/1.1 itself, on both sides (`server`, `upstream`,
//!    on `http1`): the only places that name httparse. hyper is the admin
//!    listener's, and reads and writes the frames of HTTP/2 in `server`. reqwest is
//!    named only in `token::endpoint` and `egress`. Trust roots and TLS policy are
//!    built once, in `egress`; TLS with the server is rustls's, on buffers of
//!    `upstream`, and tokio-rustls is the sandbox's.
//! 6. `sandbox` imports nothing of ours, so one mistake cannot sit on both
//!    sides of a test.
//! 7. Nothing on the request path takes a lock shared by all requests, waits
//!    for the token endpoint while a usable token exists, or buffers a body
//!    without a limit.
//! 8. No secret implements `Display` or `Serialize`; the token's value has one door.

pub mod admin;
pub mod app;
pub mod caller;
pub mod config;
pub mod deadline;
pub mod doctor;
pub mod dqe;
pub mod egress;
pub mod http1;
pub mod metrics;
pub mod proxy;
pub mod quota;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod token;
pub mod upstream;
