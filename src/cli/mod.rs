//! The subcommands: the only place that prints.

pub(crate) mod sandbox;
