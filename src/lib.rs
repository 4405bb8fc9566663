//! An authenticating reverse proxy for the DQE Software APIs.

pub mod admin;
pub mod caller;
pub mod deadline;
pub mod dqe;
pub mod egress;
pub mod metrics;
pub mod proxy;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod token;
pub mod upstream;
