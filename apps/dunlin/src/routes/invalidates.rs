//! `invalidates`: the cache groups that a successful write makes stale.

use std::sync::Arc;

use dunlin_cache::Cache as Store;
use dunlin_http::{Reply, ReplyFuture};

use super::Head;
use crate::reader::{Diagnostic, Group, Read as _, Section};

/// The groups, and the cache that they are in.
#[derive(Clone, Debug)]
pub(super) struct Invalidates {
    store: Store,
    groups: Arc<[String]>,
}

/// Reads `invalidates`: a list of groups, on a route that can change something.
pub(super) fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Vec<String>> {
    let Some(value) = table.get("invalidates") else { return Some(Vec::new()) };
    if head.methods.all_safe() {
        let what = format!("a {} request changes nothing, so it invalidates nothing", head.methods);
        value.error(Diagnostic::new(table.key_span("invalidates"), what).expected("method = \"POST\" or the like"));
        return None;
    }
    Some(value.list(Group::read)?.into_iter().map(|Group(name)| name).collect())
}

// === impl Invalidates ===

impl Invalidates {
    pub(super) fn new(store: &Store, groups: &[String]) -> Self {
        Self { store: store.clone(), groups: groups.into() }
    }

    /// Invalidates the groups if the reply is a success, before the client sees it.
    pub(super) fn after(&self, reply: ReplyFuture) -> ReplyFuture {
        if self.groups.is_empty() {
            return reply;
        }
        let this = self.clone();
        reply.map(move |reply| this.apply(reply))
    }

    fn apply(&self, reply: Reply) -> Reply {
        if reply.status().is_success() || reply.status().is_redirection() {
            self.store.invalidate_groups(&self.groups);
        }
        reply
    }
}
