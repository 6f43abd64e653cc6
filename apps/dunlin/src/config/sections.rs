//! The tables about the service itself: `[server]`, `[admin]`, `[log]`.

use std::net::IpAddr;
use std::path::PathBuf;

use dunlin_server::{Addr, Config as Server, EventLoop, Http2, Tls};
use tracing::Level;

use super::Context;
use super::section::{Read, Section, Value};
use super::source::Diagnostic;

/// `[admin]`.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) listen: Vec<Addr>,
}

/// `[log]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
    /// Whether each request gets a line.
    pub(crate) access: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    Pretty,
    Json,
}

const LEVELS: &[(&str, Level)] = &[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

const FORMATS: &[(&str, Format)] = &[("auto", Format::Auto), ("pretty", Format::Pretty), ("json", Format::Json)];

const EVENT_LOOPS: &[(&str, EventLoop)] = &[("per-core", EventLoop::PerCore), ("shared", EventLoop::Shared)];

/// An address and how many of its bits count.
struct Subnet((IpAddr, u8));

impl Read for Addr {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:8080\", \"[::]:80\", \"unix:/run/dunlin.sock\" or \"systemd:\"";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        if let Ok(addr) = text.parse() {
            return Some(addr);
        }
        let guesses =
            [text.replacen("localhost", "127.0.0.1", 1), format!("127.0.0.1:{}", text.trim_start_matches(':'))];
        let meant = guesses.into_iter().find(|guess| guess.parse::<Self>().is_ok());
        value.wrong(format_args!("\"{text}\""), Self::EXPECTED, meant)
    }
}

impl Read for Subnet {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\", or an address";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let parsed = addr.parse::<IpAddr>().ok().and_then(|addr| {
            let most = if addr.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
            (bits <= most).then_some(Self((addr, bits)))
        });
        parsed.or_else(|| value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None))
    }
}

/// Where to listen. Sockets in the file system are relative to the configuration, as all paths are.
fn addresses(value: Value<'_>, context: &Context<'_>) -> Option<Vec<Addr>> {
    let mut listen = value.list(Addr::read)?;
    for addr in &mut listen {
        if let Addr::Unix(path) = addr {
            *path = context.dir.join(&*path);
        }
    }
    Some(listen)
}

/// Reads `[server]`.
pub(super) fn server(mut table: Section<'_>, context: &Context<'_>) -> Server {
    let mut server = Server::default();
    if let Some(value) = table.get("listen")
        && let Some(listen) = addresses(value, context)
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
    server.handover = table.read("handover").map(|path: PathBuf| context.dir.join(path));
    deadlines(&mut table, &mut server);
    limits(&mut table, &mut server);
    table.set("h2c", &mut server.h2c);
    if let Some(table) = table.section("http2", "[server.http2]") {
        http2(table, &mut server.http2);
    }
    server.tls = table.section("tls", "[server.tls]").and_then(|table| tls(table, context));
    let subnets: Vec<Subnet> = table.or("proxy_protocol_from", Vec::new());
    server.proxy_protocol_from = subnets.into_iter().map(|Subnet(subnet)| subnet).collect();
    table.finish(|_| None);
    server
}

fn deadlines(table: &mut Section<'_>, server: &mut Server) {
    table.set("keep_alive", &mut server.keep_alive);
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

fn limits(table: &mut Section<'_>, server: &mut Server) {
    table.set("max_connections", &mut server.max_connections);
    table.set("max_connections_per_client", &mut server.max_connections_per_client);
    table.set("max_tunnels", &mut server.max_tunnels);
    table.set_positive("max_requests_per_connection", &mut server.max_requests_per_connection);
    table.set_size("max_body", &mut server.max_body);
    table.set_size_from("max_head", Server::LEAST_HEAD, &mut server.max_head);
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

fn tls(mut table: Section<'_>, context: &Context<'_>) -> Option<Tls> {
    let mut file = |key| {
        table.require::<PathBuf>(key)?;
        context.file(table.get(key)?)
    };
    let (certificate, key) = (file("certificate"), file("key"));
    let span = table.value_span("certificate");
    table.finish(|_| None);
    let tls = Tls { certificate: certificate?, key: key? };
    // What is in them may be right only later: the server reads them again.
    if let Err(error) = tls.check() {
        context.errors.push(Diagnostic::new(span, error.to_string()));
    }
    Some(tls)
}

// === impl Admin ===

impl Admin {
    pub(super) fn read(mut table: Section<'_>, context: &Context<'_>) -> Self {
        let listen = table.get("listen").and_then(|value| addresses(value, context));
        table.finish(|_| None);
        Self { listen: listen.unwrap_or_else(|| vec![Addr::Tcp(([127, 0, 0, 1], 8081).into())]) }
    }
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::INFO, format: Format::Auto, access: true }
    }
}

impl Log {
    pub(super) fn read(mut table: Section<'_>) -> Self {
        let mut log = Self::default();
        table.set_word("level", LEVELS, &mut log.level);
        table.set_word("format", FORMATS, &mut log.format);
        table.set("access", &mut log.access);
        table.finish(|_| None);
        log
    }
}
