//! `[server]` and `[admin]`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use dunlin_http::Network;
use dunlin_server::{Addr, Config, EventLoop, Http2};

use super::account::account;
use super::acme::Acme;
use super::listen::listeners;
use crate::process::Account;
use crate::reader::{Diagnostic, Document, Read, Section, Value};

/// `[server]`.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) server: Config,
    /// The proxies in front of this service.
    pub(super) trusted_proxies: Vec<Network>,
    /// `true` if each request gets an identifier.
    pub(super) request_id: bool,
    /// `true` if requests over plain connections are redirected to `https`.
    pub(super) redirects_to_https: bool,
    /// The certificates that are ordered.
    pub(super) acme: Option<Acme>,
    /// The user that the service runs as once its addresses are bound.
    pub(super) account: Option<Account>,
    /// `true` if the process restricts itself.
    pub(super) restrict: bool,
    /// `true` if a change of the files is a reload.
    pub(super) watch: bool,
}

/// `[admin]`.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) listen: Vec<Addr>,
    /// The host names that requests may use, besides addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
}

const EVENT_LOOPS: &[(&str, EventLoop)] = &[("per-core", EventLoop::PerCore), ("shared", EventLoop::Shared)];

impl Read for Addr {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:8080\", \"[::]:80\", \"unix:/run/dunlin.sock\" or \"systemd:\"";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        if let Ok(addr) = text.parse() {
            return Some(addr);
        }
        // A port alone means every address elsewhere, too.
        let guesses =
            [text.replacen("localhost", "127.0.0.1", 1), format!("[::]:{}", text.trim_start_matches([':', '*']))];
        let meant = guesses.into_iter().find(|guess| guess.parse::<Self>().is_ok());
        value.wrong(format_args!("\"{text}\""), Self::EXPECTED, meant)
    }
}

/// Keys that other servers have, each with the place of its subject here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("h2", "HTTP/2 is on with [server.tls]; without TLS it is \"h2c\""),
    ("http2", "HTTP/2 is on with [server.tls]; [server.http2] has its limits"),
    ("http3", "there is no HTTP/3"),
    ("quic", "there is no HTTP/3"),
    ("port", "the port is part of \"listen\", as in \"[::]:8080\""),
    ("host", "the address is part of \"listen\", as in \"127.0.0.1:8080\""),
    ("address", "the address is \"listen\", as in \"127.0.0.1:8080\""),
    ("server_name", "it is \"host\" in a [[route]] or a [[site]]"),
    ("certificate", "it belongs to [server.tls]"),
    ("cert", "it is \"certificate\" in [server.tls]"),
    ("key", "it belongs to [server.tls]"),
    ("timeout", "there are \"header_timeout\", \"body_timeout\" and \"write_timeout\""),
    ("read_timeout", "\"header_timeout\" and \"body_timeout\" limit requests; [fetch] has one for upstreams"),
    ("request_timeout", "there are \"header_timeout\", \"body_timeout\" and \"write_timeout\""),
];

/// Reads `[server]`.
pub(super) fn server(mut table: Section<'_>, document: &Document<'_>) -> Server {
    let mut server = Config::default();
    if let Some(value) = table.get("listen")
        && let Some(listen) = listeners(value, document)
    {
        server.listen = listen;
        if server.listen.is_empty() {
            let _: Option<()> = value.wrong("an empty list", Addr::EXPECTED, None);
        }
    }
    table.set_word("event_loop", EVENT_LOOPS, &mut server.event_loop);
    table.set("workers", &mut server.workers);
    table.set("pin", &mut server.pin);
    table.set("backlog", &mut server.backlog);
    table.set("reuse_port", &mut server.reuse_port);
    server.handover = table.read("handover").map(|path: PathBuf| document.dir.join(path));
    deadlines(&mut table, &mut server);
    limits(&mut table, &mut server);
    table.set("h2c", &mut server.h2c);
    if let Some(table) = table.section("http2", "[server.http2]") {
        http2(table, &mut server.http2);
    }
    let (mut redirects_to_https, mut acme) = (false, None);
    if let Some(table) = table.section("tls", "[server.tls]") {
        server.tls = super::tls::tls(table, &mut redirects_to_https, &mut acme, document);
    }
    table.set("proxy_protocol_from", &mut server.proxy_protocol_from);
    let trusted_proxies = table.or("trusted_proxies", Vec::new());
    let request_id = table.or("request_id", false);
    let account = account(&mut table, document);
    server.user = account.as_ref().map(Account::uid);
    let restrict = table.or("restrict", true);
    let watch = table.or("watch", false);
    table.finish(|key| {
        let (_, hint) = ELSEWHERE.iter().find(|(name, _)| *name == key)?;
        Some(format!("unknown key \"{key}\" in [server]; {hint}"))
    });
    Server { server, trusted_proxies, request_id, redirects_to_https, acme, account, restrict, watch }
}

fn deadlines(table: &mut Section<'_>, server: &mut Config) {
    table.set("keep_alive", &mut server.keep_alive);
    if let Some(idle) = table.read("tcp_keepalive") {
        server.tcp_keepalive = Some(idle).filter(|idle: &Duration| !idle.is_zero());
    }
    table.set_deadline("first_byte_timeout", &mut server.first_byte_timeout);
    table.set_deadline("header_timeout", &mut server.header_timeout);
    table.set_deadline("body_timeout", &mut server.body_timeout);
    table.set_deadline("write_timeout", &mut server.write_timeout);
    table.set("min_rate", &mut server.min_rate);
    table.set("park_after", &mut server.park_after);
    table.set_deadline("max_connection_age", &mut server.max_connection_age);
    table.set_deadline("tunnel_idle", &mut server.tunnel_idle);
    table.set("lame_duck", &mut server.lame_duck);
    table.set("drain", &mut server.drain);
}

fn limits(table: &mut Section<'_>, server: &mut Config) {
    table.set("max_connections", &mut server.max_connections);
    table.set("max_connections_per_client", &mut server.max_connections_per_client);
    table.set("max_tunnels", &mut server.max_tunnels);
    table.set("normalise_paths", &mut server.normalise_paths);
    table.set_positive("max_requests_per_connection", &mut server.max_requests_per_connection);
    table.set_size("max_body", &mut server.max_body);
    table.set_size_from("max_head", Config::MIN_HEAD, &mut server.max_head);
    table.set_positive("max_fields", &mut server.max_fields);
    table.set_size_from("max_target", 1, &mut server.max_target);
}

fn http2(mut table: Section<'_>, http2: &mut Http2) {
    table.set_positive("max_streams", &mut http2.max_streams);
    table.set("max_pending_resets", &mut http2.max_pending_resets);
    table.set("max_local_resets", &mut http2.max_local_resets);
    table.set_positive("max_control_rate", &mut http2.max_control_rate);
    table.finish(|_| None);
}

// === impl Server ===

impl Default for Server {
    fn default() -> Self {
        Self {
            server: Config::default(),
            trusted_proxies: Vec::new(),
            request_id: false,
            redirects_to_https: false,
            acme: None,
            account: None,
            restrict: true,
            watch: false,
        }
    }
}

// === impl Admin ===

impl Admin {
    /// Reads `[admin]`. `public` are the addresses of the service itself.
    pub(super) fn read(mut table: Section<'_>, public: &[Addr], document: &Document<'_>) -> Self {
        let listen = super::listen::admin(table.get("listen"), document.dir);
        let hosts = table.or("hosts", Vec::new());
        let is_public = table.or("public", false);
        let span = table.value_span("listen");
        let wrong = |what: String, expected: &str| {
            document.errors.push(Diagnostic::new(span.clone(), what).expected(expected));
        };
        for addr in &listen {
            if public.iter().any(|other| is_same(addr, other)) {
                let expected = "an address of its own, such as \"127.0.0.1:8081\"";
                wrong(format!("{addr} is an address of [server], too"), expected);
            } else if !is_public && addr.as_tcp().is_some_and(|addr| is_reachable(addr.ip())) {
                let what = format!("{addr} may be reached from the internet, and this listener has no authentication");
                wrong(what, "a loopback or private address, or public = true beside it");
            }
        }
        table.finish(|_| None);
        Self { listen, hosts }
    }
}

/// Returns `true` if both addresses cannot be listened on at once.
fn is_same(one: &Addr, other: &Addr) -> bool {
    match (one.as_tcp(), other.as_tcp()) {
        (Some(one), Some(other)) => {
            let every = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && (every || one.ip() == other.ip())
        }
        _ => one == other && !matches!(one, Addr::Systemd(_)),
    }
}

/// Returns `true` if an address may be reachable from the internet.
fn is_reachable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared(ip)),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

/// Returns `true` if an address is in 100.64.0.0/10, which carriers and overlay networks use inside
/// (RFC 6598).
const fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0b1100_0000 == 0b0100_0000
}
