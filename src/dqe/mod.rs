//! What is true of DQE alone: its scopes, its paths, its licence parameter, how it
//! says that a token is dead, what its token endpoint is sent and what it replies.
//! Pure code: no sockets, no clock.

mod carriage;
pub mod catalogue;
pub mod dead_token;
pub mod licence;
pub mod relay;
mod scope;
mod token_path;
pub mod token_reply;
mod token_request;

pub use carriage::Carriage;
pub use scope::Scope;
pub use token_path::{InvalidTokenPath, TokenPath};
pub use token_request::{ClientParameter, Method, ScopeParameter, TokenRequest};
