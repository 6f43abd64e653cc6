//! [`Replacement`]: other listeners and certificates for a running server.

use std::sync::Arc;

use crate::context::Shared;
use crate::listen::Change;
use crate::tls::NewRules;
use crate::{BindError, Config, Listen, Tls};

/// Other listeners, certificates and rules of TLS for a running server; see
/// [`Handle::replacement`](crate::Handle::replacement). Dropping it changes nothing, and closes the
/// sockets that were bound for it.
#[derive(Debug)]
#[must_use = "nothing changes before `apply`"]
pub struct Replacement {
    shared: Arc<Shared>,
    change: Change,
    rules: Option<NewRules>,
}

// === impl Replacement ===

impl Replacement {
    pub(crate) fn prepare(shared: Arc<Shared>, listen: &[Listen], tls: Option<&Tls>) -> Result<Self, BindError> {
        let config = Config { listen: listen.to_vec(), tls: tls.cloned(), ..shared.config.clone() };
        config.check()?;
        let rules = match (&shared.tls, tls) {
            (Some(acceptor), Some(tls)) => Some(acceptor.prepare(tls)?),
            _ => None,
        };
        let change = shared.listeners.prepare(&config, config.worker_count())?;
        if change.needs_tls() && shared.tls.is_none() {
            return Err(BindError::Config("the server was started without certificates; restart it to use TLS"));
        }
        Ok(Self { shared, change, rules })
    }

    /// Serves the new listeners, and closes those that are gone. Their connections close behind
    /// their next response, and idle ones at once.
    pub fn apply(self) {
        if let (Some(acceptor), Some(rules)) = (&self.shared.tls, self.rules) {
            acceptor.apply(rules);
        }
        self.shared.listeners.apply(self.change);
    }
}
