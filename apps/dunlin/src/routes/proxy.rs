//! `proxy` routes: another server behind this one.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use dunlin_fetch::{Proxy as ProxyService, ProxyConfig};
use dunlin_http::{Body, Context, Handler, Network, ReplyFuture, SharedHandler};
use http::{Request, Uri};

use super::invalidates::{self, Invalidates};
use super::path::Tail;
use super::{EventLoop, Head, Key, Kind, Prepared, Process, Room};
use crate::reader::{Diagnostic, Methods, Section, upstream_url};

pub(super) const KIND: Kind = Kind {
    name: "proxy",
    keys: KEYS,
    methods: || Methods::Any,
    in_memory: false,
    forwards: true,
    read: |table, head| Proxy::read(table, head).map(|proxy| Box::new(proxy) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("proxy", "", "the URL of the server; the part that `{*rest}` matched is appended"),
    Key::new("keep_path", "false", "send the whole path, as it came"),
    Key::new("preserve_host", "false", "send the client's `Host` instead of the URL's"),
    Key::new("timeout", "", "as in `[fetch]`, for this route"),
    Key::new("read_timeout", "", "as in `[fetch]`, for this route"),
    Key::new("trusted", "[]", "more `trusted_proxies`, for this route"),
    Key::new("forwarded", "false", "send `Forwarded` besides `X-Forwarded-*`"),
    Key::new("upgrades", "[\"websocket\"]", "the protocols that a connection may change to"),
    Key::new("invalidates", "[]", "the cache groups that a successful write makes stale"),
];

/// A `proxy` route as it was read.
#[derive(Clone, Debug)]
struct Proxy {
    url: Uri,
    config: ProxyConfig,
    invalidates: Vec<String>,
    tail: Tail,
}

/// An upstream, and the groups that its writes make stale.
#[derive(Debug)]
struct ProxyHandler {
    proxy: ProxyService,
    tail: Tail,
    invalidates: Invalidates,
}

// === impl Proxy ===

impl Proxy {
    fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Self> {
        let mut config = ProxyConfig::default();
        table.set("keep_path", &mut config.keep_path);
        table.set("preserve_host", &mut config.preserve_host);
        config.response_timeout = table.deadline("timeout");
        config.read_timeout = table.deadline("read_timeout");
        table.set("trusted", &mut config.trusted);
        table.set("forwarded", &mut config.forwarded);
        table.set("upgrades", &mut config.upgrades);
        let invalidates = invalidates::read(table, head);
        let value = table.get("proxy")?;
        let url = upstream_url(value)?;
        if url.query().is_some() {
            let without = url.to_string().split('?').next().map(str::to_owned);
            return value.wrong(format_args!("\"{url}\": a query comes from the client"), "a URL without one", without);
        }
        if !config.keep_path {
            for name in head.path.names().filter(|name| head.path.rest() != Some(name)) {
                let what = format!("{{{name}}} is not sent to the upstream: only {{*rest}} and the query are");
                let warning = Diagnostic::new(table.value_span("path"), what);
                head.document.warnings.push(warning.expected("keep_path = true, or a path that ends in {*rest}"));
            }
        }
        Some(Self { url, config, invalidates: invalidates?, tail: Tail::new(head.path) })
    }
}

impl Room for Proxy {
    fn describe(&self) -> String {
        self.url.to_string()
    }

    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>> {
        let mut proxy = self.clone();
        proxy.config.trusted.extend(process.trusted);
        ProxyService::new(process.client.clone(), &proxy.url, proxy.config.clone())?;
        Ok(Box::new(proxy))
    }

    fn trusted(&self) -> &[Network] {
        &self.config.trusted
    }
}

impl Prepared for Proxy {
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(ProxyHandler {
            proxy: ProxyService::new(event_loop.client.clone(), &self.url, self.config.clone())?,
            tail: self.tail,
            invalidates: Invalidates::new(event_loop.store, &self.invalidates),
        }))
    }
}

// === impl ProxyHandler ===

impl Handler<Context> for ProxyHandler {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        let writes = !request.method().is_safe();
        let mut context = context.clone();
        context.rest = Some(self.tail.start(request.uri()));
        let reply = self.proxy.handle(request, &context);
        if writes { self.invalidates.after(reply) } else { reply }
    }
}
