//! `fetch` routes: the text of another server's page.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use dunlin_fetch::FetchService;
use dunlin_http::{Context, SharedHandler};
use http::Uri;

use super::{EventLoop, Key, Kind, Prepared, Process, Room};
use crate::reader::{Methods, Section, upstream_url};

pub(super) const KIND: Kind = Kind {
    name: "fetch",
    keys: KEYS,
    methods: Methods::get,
    in_memory: false,
    forwards: false,
    read: |table, _| Fetch::read(table).map(|fetch| Box::new(fetch) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("fetch", "", "the URL of the page"),
    Key::new("take", "", "the number of characters; without it, all of them"),
    Key::new("timeout", "", "as in `[fetch]`, for this route"),
    Key::new("read_timeout", "", "as in `[fetch]`, for this route"),
];

/// A `fetch` route as it was read.
#[derive(Clone, Debug)]
struct Fetch {
    url: Uri,
    take: Option<usize>,
    timeout: Option<Duration>,
    read_timeout: Option<Duration>,
}

/// A `fetch` route whose URL was accepted by a client.
struct PreparedFetch {
    fetch: Fetch,
    /// The settings of a client of its own, if the route has time limits of its own.
    config: Option<dunlin_fetch::Config>,
}

// === impl Fetch ===

impl Fetch {
    fn read(table: &mut Section<'_>) -> Option<Self> {
        let (timeout, read_timeout) = (table.deadline("timeout"), table.deadline("read_timeout"));
        let take = table.read("take");
        Some(Self { url: upstream_url(table.get("fetch")?)?, take, timeout, read_timeout })
    }
}

impl Room for Fetch {
    fn describe(&self) -> String {
        // A query may contain a secret.
        let url = self.url.to_string();
        url.split_once('?').map_or_else(|| url.clone(), |(url, _)| format!("{url}?…"))
    }

    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>> {
        FetchService::new(process.client.clone(), &self.url, self.take)?;
        let has_own = self.timeout.is_some() || self.read_timeout.is_some();
        let config = has_own.then(|| dunlin_fetch::Config {
            response_timeout: self.timeout.unwrap_or(process.fetch.response_timeout),
            read_timeout: self.read_timeout.unwrap_or(process.fetch.read_timeout),
            ..process.fetch.clone()
        });
        Ok(Box::new(PreparedFetch { fetch: self.clone(), config }))
    }
}

impl Prepared for PreparedFetch {
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        let client = match &self.config {
            None => event_loop.client.clone(),
            Some(config) => event_loop.clients.open(config.clone())?,
        };
        Ok(Arc::new(FetchService::new(client, &self.fetch.url, self.fetch.take)?))
    }
}
