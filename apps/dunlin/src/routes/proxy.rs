//! `proxy` routes: another server behind this one.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use dunlin_fetch::{Client, Proxy as ProxyService, ProxyConfig, Upstream};
use dunlin_http::{Body, Context, Handler, Network, ReplyFuture, SharedHandler};
use http::{Request, Uri};

use super::invalidates::{self, Invalidates};
use super::path::Tail;
use super::{EventLoop, Head, Key, Kind, Prepared, Process, Room};
use crate::reader::{Diagnostic, Document, Methods, Section, Value, nearest, upstream_url};

pub(super) const KIND: Kind = Kind {
    name: "proxy",
    keys: KEYS,
    methods: || Methods::Any,
    in_memory: false,
    forwards: true,
    read: |table, head| Proxy::read(table, head).map(|proxy| Box::new(proxy) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new(
        "proxy",
        "",
        "the URL of the server, or of an `[upstream.NAME]`; the part that `{*rest}` matched is appended",
    ),
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
    /// The name of the `[upstream.NAME]` that the URL stands for.
    upstream: Option<String>,
    config: ProxyConfig,
    invalidates: Vec<String>,
    tail: Tail,
}

/// A `proxy` route whose URL was accepted by a client.
struct PreparedProxy {
    proxy: Proxy,
    upstream: Option<Arc<Upstream>>,
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
        let upstream = named_upstream(value, &url, head.document)?;
        if !config.keep_path {
            for name in head.path.names().filter(|name| head.path.rest() != Some(name)) {
                let what = format!("{{{name}}} is not sent to the upstream: only {{*rest}} and the query are");
                let warning = Diagnostic::new(table.value_span("path"), what);
                head.document.warnings.push(warning.expected("keep_path = true, or a path that ends in {*rest}"));
            }
        }
        Some(Self { url, upstream, config, invalidates: invalidates?, tail: Tail::new(head.path) })
    }
}

impl Room for Proxy {
    fn describe(&self) -> String {
        self.url.to_string()
    }

    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>> {
        let mut proxy = self.clone();
        proxy.config.trusted.extend(process.trusted);
        let upstream = self.upstream.as_ref().and_then(|name| process.upstreams.get(name.as_str()).copied()).cloned();
        let prepared = PreparedProxy { proxy, upstream };
        prepared.service(process.client)?;
        Ok(Box::new(prepared))
    }

    fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    fn trusted(&self) -> &[Network] {
        &self.config.trusted
    }
}

/// The name of the upstream that a URL stands for: its host, without a port.
///
/// Returns `None` for an error, which is reported to `value`.
fn named_upstream(value: Value<'_>, url: &Uri, document: &Document<'_>) -> Option<Option<String>> {
    let Some(host) = url.authority().map(|authority| authority.as_str()) else { return Some(None) };
    let names = &document.upstreams;
    match names.ignoring_case(host) {
        Some(_) if url.scheme_str() == Some("https") => {
            let text = format!("\"{url}\": the servers of [upstream.{host}] have schemes of their own");
            value.wrong(text, "http before the name", Some(url.to_string().replacen("https", "http", 1)))
        }
        Some(name) => Some(Some(name.to_owned())),
        None => {
            // It may be a host, so that this is no error.
            let may_be_meant = !host.contains(['.', ':']) && host != "localhost";
            if let Some(meant) = may_be_meant.then(|| nearest(host, names.as_slice())).flatten() {
                let what = format!("there is no [upstream.{host}], so that \"{host}\" is the name of a host");
                let warning = Diagnostic::new(value.span(), what);
                document.warnings.push(warning.meant(Some(url.to_string().replacen(host, meant, 1))));
            }
            Some(None)
        }
    }
}

// === impl PreparedProxy ===

impl PreparedProxy {
    fn service(&self, client: &Client) -> Result<ProxyService> {
        let Proxy { url, config, .. } = &self.proxy;
        Ok(match &self.upstream {
            None => ProxyService::new(client.clone(), url, config.clone())?,
            Some(upstream) => {
                ProxyService::with_upstream(client.clone(), upstream.clone(), url.path(), config.clone())?
            }
        })
    }
}

impl Prepared for PreparedProxy {
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        Ok(Arc::new(ProxyHandler {
            proxy: self.service(event_loop.client)?,
            tail: self.proxy.tail,
            invalidates: Invalidates::new(event_loop.store, &self.proxy.invalidates),
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
