//! Stories of behaviour, over real sockets against the built-in fake DQE.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod calls;
mod carriage;
mod command_line;
mod conformance;
mod cors;
mod credentials;
mod dead_tokens;
mod doctor;
mod edges;
mod empty_answers;
mod faults;
mod framing;
mod fuzz;
mod id_mobile;
mod isolation;
mod jsonp;
mod layering;
mod limits;
mod observing;
mod operating;
mod parking;
mod paths;
mod redirects;
mod relay;
mod sandbox;
mod scenarios;
mod scrubbing;
mod support;
mod token_command;
mod token_request;
mod traps;
mod upstream_faults;
mod upstream_tls;
mod who_may_call;
