//! `[upstream.NAME]`: services with several servers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use dunlin_fetch::{Balance, Ejection, HashKey, HealthCheck, Protocol, Upstream as Shared, UpstreamConfig};
use http::uri::PathAndQuery;
use http::{HeaderName, Uri};
use toml::de::DeValue;

use super::route::Route;
use crate::reader::{Diagnostic, Document, Read, Section, Span, Value, upstream_url};

/// An `[upstream.NAME]`, which all event loops share.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    /// The place of its name.
    span: Span,
    pub(super) shared: Arc<Shared>,
}

/// The URL of a server, without a path.
struct Server(Uri);

/// The word of `balance`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    LeastPending,
    RoundRobin,
    Hash,
}

const RULES: &[(&str, Rule)] =
    &[("least-pending", Rule::LeastPending), ("round-robin", Rule::RoundRobin), ("hash", Rule::Hash)];

const PROTOCOLS: &[(&str, Protocol)] =
    &[("http/1.1", Protocol::Http1), ("h2", Protocol::Http2), ("auto", Protocol::Auto)];

/// Keys that other servers have, each with its name here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("server", "servers"),
    ("backends", "servers"),
    ("hosts", "servers"),
    ("lb", "balance"),
    ("policy", "balance"),
    ("health_check", "health"),
    ("healthcheck", "health"),
    ("timeout", "timeout of the route or of [fetch]"),
    ("slowstart", "slow_start"),
    ("max_requests", "max_pending"),
    ("max_conns", "max_connections"),
    ("keepalive", "max_idle of [fetch]"),
];

// === impl Upstream ===

impl Upstream {
    /// Reads `[upstream]`.
    pub(super) fn read_all(value: Value<'_>, document: &Document<'_>) -> Vec<Self> {
        const FORM: &str = "tables such as [upstream.app]";
        let DeValue::Table(tables) = value.raw() else {
            let _: Option<()> = value.wrong_type(FORM);
            return Vec::new();
        };
        let upstreams = tables.iter().filter_map(|(name, raw)| {
            let (value, span) = (value.at("upstream", raw), name.span());
            let name: &str = name.get_ref();
            if !matches!(raw.get_ref(), DeValue::Table(_)) {
                let what = format!("\"{name}\" is no table of an upstream");
                document.errors.push(Diagnostic::new(span, what).expected(FORM));
                return None;
            }
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || !name.chars().all(fits) {
                let what = format!("\"{name}\" cannot be the name of an upstream");
                let expected = "letters, digits, \"-\", \"_\" and \".\", as in the host of a URL";
                document.errors.push(Diagnostic::new(span, what).expected(expected));
                return None;
            }
            let table = value.section("this [upstream.NAME]")?;
            let place = table.value_span("servers");
            let config = read(table)?;
            match Shared::new(name, config) {
                Ok(shared) => Some(Self { span, shared }),
                Err(error) => {
                    document.errors.push(Diagnostic::new(place, error.to_string()));
                    None
                }
            }
        });
        upstreams.collect()
    }
}

/// Reports upstreams that no route uses.
pub(super) fn check_unused(upstreams: &[Upstream], routes: &[Route], document: &Document<'_>) {
    let used: HashSet<&str> = routes.iter().filter_map(|route| route.room.upstream()).collect();
    for Upstream { span, shared } in upstreams {
        let name = shared.name();
        if !used.contains(name) {
            let what = format!("no route uses [upstream.{name}]");
            let expected = format!("a route with proxy = \"http://{name}/\"");
            document.warnings.push(Diagnostic::new(span.clone(), what).expected(expected));
        }
    }
}

fn read(mut table: Section<'_>) -> Option<UpstreamConfig> {
    let servers = table.require::<Vec<Server>>("servers");
    let mut config = UpstreamConfig::new(Vec::new());
    let balance = balance(&mut table);
    let health = match table.section("health", "health") {
        Some(table) => health(table).map(Some),
        None => Some(None),
    };
    if let Some(value) = table.get("eject") {
        config.eject = match value.raw() {
            DeValue::Boolean(false) => None,
            DeValue::Table(_) => value.section("eject").map(eject),
            _ => value.wrong_type("a table such as { failures = 5, for = \"10s\" }, or false"),
        };
    }
    table.set("wait", &mut config.wait);
    let protocol = table.get("protocol").map_or(Some(Protocol::Http1), |value| value.word(PROTOCOLS));
    let mut max_pending = 0;
    table.set_positive("max_pending", &mut max_pending);
    config.max_pending = (max_pending > 0).then_some(max_pending);
    table.set("slow_start", &mut config.slow_start);
    table.set_positive("max_connections", &mut config.max_connections);
    table.finish(|key| {
        let (_, meant) = ELSEWHERE.iter().find(|(name, _)| *name == key)?;
        Some(format!("unknown key \"{key}\" in this [upstream.NAME]; it is {meant}"))
    });
    config.protocol = protocol?;
    config.servers = servers?.into_iter().map(|Server(url)| url).collect();
    config.balance = balance?;
    config.health = health?;
    Some(config)
}

/// Reads `balance` and `hash`.
fn balance(table: &mut Section<'_>) -> Option<Balance> {
    let rule = match table.get("balance") {
        Some(value) => value.word(RULES)?,
        None => Rule::LeastPending,
    };
    let by = table.get("hash");
    match (rule, by) {
        (Rule::Hash, Some(by)) => hash_key(by).map(Balance::Hash),
        (Rule::Hash, None) => Some(Balance::Hash(HashKey::Client)),
        (_, Some(by)) => {
            let what = "\"hash\" has no effect without balance = \"hash\"";
            by.error(Diagnostic::new(by.span(), what).expected("balance = \"hash\" beside it, or no \"hash\""));
            None
        }
        (Rule::LeastPending, None) => Some(Balance::LeastPending),
        (Rule::RoundRobin, None) => Some(Balance::RoundRobin),
    }
}

fn hash_key(value: Value<'_>) -> Option<HashKey> {
    const EXPECTED: &str = "\"client\", \"cookie.NAME\", \"header.NAME\" or \"path\"";
    let text = value.str(EXPECTED)?;
    let key = match text.split_once('.') {
        None if text == "client" => Some(HashKey::Client),
        None if text == "path" => Some(HashKey::Path),
        Some(("cookie", name)) if !name.is_empty() => Some(HashKey::Cookie(name.to_owned())),
        Some(("header", name)) => name.parse::<HeaderName>().ok().map(HashKey::Header),
        _ => None,
    };
    let meant = crate::reader::nearest(text, &["client", "path"]).map(str::to_owned);
    key.or_else(|| value.wrong(format_args!("\"{text}\""), EXPECTED, meant))
}

fn health(mut table: Section<'_>) -> Option<HealthCheck> {
    const EXPECTED: &str = "a path such as \"/healthz\"";
    let mut health = HealthCheck::default();
    table.require::<String>("path");
    let path = table.get("path").and_then(|value| {
        let text = value.str(EXPECTED)?;
        let is_path = text.starts_with('/') && text.parse::<PathAndQuery>().is_ok();
        if is_path { Some(text.to_owned()) } else { value.wrong(format_args!("\"{text}\""), EXPECTED, None) }
    });
    table.set_deadline("interval", &mut health.interval);
    table.set_deadline("timeout", &mut health.timeout);
    table.set_positive("healthy", &mut health.healthy);
    table.set_positive("unhealthy", &mut health.unhealthy);
    table.finish(|_| None);
    health.path = path?;
    Some(health)
}

fn eject(mut table: Section<'_>) -> Ejection {
    let mut ejection = Ejection::default();
    table.set_positive("failures", &mut ejection.failures);
    if let Some(percent) = table.get("percent").and_then(|value| value.integer(1, 100, "a percentage, 1 to 100")) {
        ejection.percent = percent as u32;
    }
    let duration: Option<Duration> = table.deadline("for");
    ejection.duration = duration.unwrap_or(ejection.duration);
    table.finish(|_| None);
    ejection
}

impl Read for Server {
    const EXPECTED: &'static str = "a URL such as \"http://10.0.0.1:8000\" or \"http://unix:/run/app.sock\"";

    fn read(value: Value<'_>) -> Option<Self> {
        let url = upstream_url(value)?;
        let is_unix = url.authority().is_some_and(|authority| authority.as_str() == "unix:");
        let has_path = match is_unix {
            true => url.path().contains(':'),
            false => !matches!(url.path(), "" | "/"),
        };
        if !has_path && url.query().is_none() {
            return Some(Self(url));
        }
        let whole = url.to_string();
        let meant = match (is_unix, url.authority()) {
            (true, _) => whole.rsplit_once(':').map(|(socket, _)| socket.to_owned()),
            (false, Some(authority)) => Some(format!("{}://{authority}", url.scheme_str().unwrap_or("http"))),
            (false, None) => None,
        };
        value.wrong("a URL with a path or a query: the path is part of \"proxy\"", Self::EXPECTED, meant)
    }
}
