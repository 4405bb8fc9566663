//! Stories of behaviour, over real sockets against the built-in fake DQE.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod calls;
mod command_line;
mod conformance;
mod credentials;
mod edges;
mod faults;
mod framing;
mod fuzz;
mod isolation;
mod layering;
mod operating;
mod sandbox;
mod support;
mod who_may_call;
