//! An authenticating reverse proxy for the DQE Software APIs.

pub mod sandbox;
