//! [`Interface`]: the document of a configuration, before and after the database has described it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dunlin_pg::Description;

use super::api::Api;
use super::described::Described;
use super::document::document;
use crate::config::Config;

/// The document of a configuration, before and after the database has described it.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    pub(crate) api: Arc<Api>,
    /// `true` once the document is needed. It costs more than all the rest of a large
    /// configuration.
    is_begun: AtomicBool,
    is_complete: AtomicBool,
}

// === impl Interface ===

impl Interface {
    /// Makes the document without the types.
    pub(crate) fn begin(&self, config: &Config) {
        self.is_begun.store(true, Ordering::Release);
        self.set(config, Vec::new());
    }

    /// Makes the document with the database's descriptions of the queries, in the order of their
    /// routes, if it is needed.
    pub(crate) fn complete(&self, config: &Config, descriptions: Vec<Option<Description>>) {
        if self.is_begun.load(Ordering::Acquire) {
            self.set(config, descriptions);
        }
        self.is_complete.store(true, Ordering::Release);
    }

    /// Returns `true` once the database has described the queries.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    fn set(&self, config: &Config, descriptions: Vec<Option<Description>>) {
        let descriptions = descriptions.into_iter().chain(std::iter::repeat_with(|| None));
        let queries = config.routes.iter().filter_map(|route| Some((route, route.room.query()?)));
        let queries: Vec<Described<'_>> = queries
            .zip(descriptions)
            .map(|((route, query), description)| Described { route, query, description })
            .collect();
        let info = config.openapi.clone().unwrap_or_default();
        self.api.set(&document(&info, &queries, &config.auth));
    }
}
