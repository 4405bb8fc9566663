//! The `dqe-proxy` command.

fn main() {}
