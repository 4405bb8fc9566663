//! Stories told over real sockets.

mod sandbox;
