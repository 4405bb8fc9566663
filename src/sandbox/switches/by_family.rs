//! The switches as each family sees them, worked out when they change and not for each request.

use super::{Differences, Switches};
use crate::sandbox::route::{Family, Route};
use crate::sandbox::scope::Scope;

/// The switches in force.
#[derive(Debug)]
pub(crate) struct ByFamily {
    written: Switches,
    no_family: Switches,
    by_family: [Switches; Family::ALL.len()],
}

impl ByFamily {
    pub(crate) fn new(written: Switches) -> Self {
        Self {
            by_family: Family::ALL.map(|family| written.of(family)),
            no_family: Switches {
                families: Differences::default(),
                ..written.clone()
            },
            written,
        }
    }

    /// As they were set.
    pub(crate) fn written(&self) -> &Switches {
        &self.written
    }

    /// For one request. A token request, and `asked` is its scope, belongs to the scope's family;
    /// what belongs to none sees the values that were set for all.
    pub(crate) fn of(&self, route: Option<Route>, asked: Option<Scope>) -> &Switches {
        let family = match route {
            Some(route) if route.is_token_endpoint() => asked.map(Scope::family),
            Some(route) => Some(route.family),
            None => None,
        };
        family.map_or(&self.no_family, |family| &self.by_family[family as usize])
    }
}
