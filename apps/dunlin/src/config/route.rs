//! `[[route]]`: the keys of every route, and the checks over all routes.

use std::collections::HashSet;

use dunlin_pg::{Access, Place};
use http::Method;
use toml::de::DeTable;

use crate::admit::Admission;
use crate::finish::Finish;
use crate::hosts::HostPattern;
use crate::reader::{
    Diagnostic, Document, Fingerprint, Methods, Pattern, Read as _, Section, Size, Span, Value, nearest, one_of,
};
use crate::routes::{Cache, Head, KINDS, Key, Kind, Query, Room};

/// The keys that a route of any kind has.
pub(crate) const COMMON: &[Key] = &[
    Key::new("path", "", "the path: literal segments, `{name}` for one segment, `{*rest}` at the end for the rest"),
    Key::new("host", "", "the host names, such as `\"example.com\"` or `\"*.example.com\"`; without it, any"),
    Key::new("method", "`\"GET\"`; `proxy` and `redirect`: any", "a method, or a list; HEAD comes with GET"),
    Key::new("compress", "true", "compress the responses as the client accepts it"),
    Key::new("decode", "false", "decode compressed request bodies, within `max_body`"),
    Key::new("cache", "false", "`true`: what the responses' own fields allow; `\"1h\"`: for that time; or a table"),
    Key::new("max_body", "", "the limit of a request body, instead of the server's"),
    Key::new("response_headers", "{}", "edits of the response fields: a table"),
    Key::new("request_headers", "{}", "edits of the request fields that the handler sees: a table"),
    Key::new("cors", "false", "cross-origin requests: `true`, an origin, or a table"),
    Key::new("auth", "false", "the name of an `[auth.NAME]`, or a list: one of them must verify the client"),
    Key::new("require", "{}", "the claims that a verified client must have: a table"),
    Key::new("allow", "[]", "the networks whose clients are admitted; empty for all"),
    Key::new("deny", "[]", "the networks whose clients get 403"),
    Key::new("rate_limit", "", "the limit of requests of one client: a table"),
    Key::new("error_pages", "{}", "pages for errors: a table of files by status"),
    Key::new("log", "true", "write an access line"),
];

/// The keys that `[defaults]` cannot have, because each route needs its own.
const OWN: &[&str] = &["path", "method", "host"];

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// The place of the value of `path`.
    pub(crate) span: Span,
    pub(crate) path: Pattern,
    /// The hosts that it is for; empty for any.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) methods: Methods,
    pub(crate) kind: &'static Kind,
    pub(crate) room: Box<dyn Room>,
    pub(crate) compress: bool,
    /// `true` if compressed request bodies are decoded.
    pub(crate) decode: bool,
    pub(crate) cache: Cache,
    pub(crate) max_body: Option<u64>,
    pub(crate) admission: Admission,
    pub(crate) finish: Finish,
    /// `true` if a request gets an access line.
    pub(crate) log: bool,
    /// The table and its defaults; `None` for a route that no table of its own describes.
    pub(crate) fingerprint: Option<Fingerprint>,
}

// === impl Route ===

impl Route {
    /// Reads one table of `[[route]]`.
    pub(super) fn read<'d>(
        value: Value<'d>,
        defaults: &[&'d DeTable<'d>],
        site: &[HostPattern],
        document: &Document<'_>,
    ) -> Option<Self> {
        let mut table = value.section("this route")?.with_defaults(defaults.iter().copied());
        let span = table.value_span("path");
        let fingerprint = Some(table.fingerprint());
        let path = table.require::<Pattern>("path");
        let hosts = match table.get("host") {
            Some(value) if !site.is_empty() => {
                let what = "\"host\" belongs to the [[site]] of this route";
                value.error(Diagnostic::new(value.span(), what).expected("no host here, or a [[route]] by itself"));
                None
            }
            Some(value) => value.list(HostPattern::read).filter(|hosts| !hosts.is_empty()),
            None => Some(site.to_vec()),
        };
        let kind = kind(&table, document);
        let methods = match table.get("method") {
            Some(value) => Methods::read(value),
            None => Some(kind.map_or_else(Methods::get, |kind| (kind.methods)())),
        };
        let compress = table.or("compress", true);
        let decode = table.or("decode", false);
        let in_memory = kind.is_some_and(|kind| kind.in_memory);
        let cache = table.get("cache").map_or(Some(Cache::Off), |value| Cache::read(value, in_memory));
        let max_body = table.read("max_body").map(|Size(size)| size);
        let names: Vec<&str> = path.iter().flat_map(Pattern::names).collect();
        let admission = Admission::read(&mut table, &names, document);
        let finish = Finish::read(&mut table, Some(&names), document);
        let log = table.or("log", true);
        let room = kind.and_then(|kind| {
            let unknown = (Pattern::unknown(), Methods::Any);
            let head = Head {
                path: path.as_ref().unwrap_or(&unknown.0),
                methods: methods.as_ref().unwrap_or(&unknown.1),
                cache: cache.as_ref().unwrap_or(&Cache::Off),
                document,
            };
            (kind.read)(&mut table, &head)
        });
        match kind {
            Some(kind) => table.finish(|key| belongs(key, kind)),
            None => misspelt(&table, document),
        }
        Some(Self {
            span,
            path: path?,
            hosts: hosts?,
            methods: methods?,
            kind: kind?,
            room: room?,
            compress,
            decode,
            cache: cache?,
            max_body,
            admission: admission?,
            finish: finish?,
            log,
            fingerprint,
        })
    }
}

impl Route {
    /// The hosts and the path, for people.
    pub(crate) fn name(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(HostPattern::to_string).collect();
        format!("{}{}", hosts.join(","), self.path.as_str())
    }

    /// The groups that stored responses and events depend on.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        let live = self.room.query().map(Query::live).unwrap_or_default();
        self.cache.groups().iter().chain(live)
    }

    /// Returns `true` if the route is written for this method.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.methods.as_slice().contains(method)
    }

    /// Returns `true` if the route is a query that answers a GET with a representation that
    /// conditions can be about. A list with pages has none.
    pub(crate) fn is_representation(&self) -> bool {
        let is_whole = self.room.query().is_some_and(|query| query.declaration.page.is_none());
        is_whole && self.takes(&Method::GET)
    }
}

/// The kind of a route, which has exactly one key of [`KINDS`].
fn kind(table: &Section<'_>, document: &Document<'_>) -> Option<&'static Kind> {
    let mut present: Vec<&'static Kind> = KINDS.into_iter().filter(|kind| table.has(kind.name)).collect();
    present.sort_by_key(|kind| table.key_span(kind.name).start);
    let names = Kind::names().collect::<Vec<_>>().join(", ");
    match present[..] {
        [] => {
            let what = "this route has nothing to answer with";
            document.errors.push(Diagnostic::new(table.span.clone(), what).expected(format!("one of {names}")));
            None
        }
        [kind] => Some(kind),
        [first, second, ..] => {
            let what = format!("this route has \"{}\" and \"{}\"", first.name, second.name);
            document.errors.push(
                Diagnostic::new(table.key_span(second.name), what)
                    .expected(format!("exactly one of {names}"))
                    .other(table.key_span(first.name), "the other is here"),
            );
            None
        }
    }
}

/// The kinds that a key belongs to, if this kind does not have it.
fn belongs(key: &str, here: &Kind) -> Option<String> {
    let homes: Vec<&str> = Kind::with_key(key).map(|kind| kind.name).collect();
    let homes = (!homes.is_empty()).then(|| homes.join(" or "))?;
    Some(format!("\"{key}\" belongs to a {homes} route; this is a {} route", here.name))
}

/// Reports keys that no kind has, on a route whose kind is not known.
fn misspelt(table: &Section<'_>, document: &Document<'_>) {
    let names: Vec<&str> = Kind::names().collect();
    for (key, span) in table.unknown() {
        if Kind::with_key(key).next().is_none() {
            let unknown = Diagnostic::new(span, format!("unknown key \"{key}\" in this route"));
            document.errors.push(match nearest(key, &names) {
                Some(meant) => unknown.meant(Some(meant)),
                None => unknown.expected(one_of(&names)),
            });
        }
    }
}

/// Reports the keys of `[defaults]` that no route could have from there.
pub(super) fn check_defaults(defaults: &DeTable<'_>, document: &Document<'_>) {
    let kinds: Vec<&str> = Kind::names().collect();
    let keys = COMMON.iter().chain(KINDS.into_iter().flat_map(|kind| kind.keys)).map(|key| key.name);
    let known: Vec<&str> = keys.filter(|key| !OWN.contains(key) && !kinds.contains(key)).collect();
    for key in defaults.keys() {
        let name: &str = key.get_ref();
        if known.contains(&name) {
            continue;
        }
        let diagnostic = if OWN.contains(&name) || kinds.contains(&name) {
            Diagnostic::new(key.span(), format!("\"{name}\" belongs to each route, not to [defaults]"))
        } else {
            let unknown = Diagnostic::new(key.span(), format!("unknown key \"{name}\" in [defaults]"));
            match nearest(name, &known) {
                Some(meant) => unknown.meant(Some(meant)),
                None => unknown.expected("a key of a route"),
            }
        };
        document.errors.push(diagnostic);
    }
}

/// Reports queries that read the claims of clients that nothing verifies, or whose responses would
/// be shared.
pub(super) fn check_claims(routes: &[Route], document: &Document<'_>) {
    for route in routes.iter().filter(|route| route.room.query().is_some_and(Query::reads_claims)) {
        let wrong = |what: &str, expected: &str| {
            document.errors.push(Diagnostic::new(route.span.clone(), what).expected(expected));
        };
        if route.admission.auth.is_empty() && !document.has_client_ca {
            wrong(
                "the query of this route reads claims, and the route has no \"auth\"",
                "auth = \"NAME\" on this route",
            );
        }
        let Cache::Stored(policy) = &route.cache else { continue };
        let other = route.room.query().and_then(|query| query.claims().find(|claim| *claim != "sub"));
        if !policy.per_identity {
            let what = "the responses of this route depend on claims, so that the cache cannot share them";
            wrong(what, "cache = { per_identity = true } for \"claim.sub\" alone, or cache = false");
        } else if let Some(claim) = other {
            let what = format!(
                "the responses of this route depend on \"claim.{claim}\", and stored responses are separate by \"claim.sub\" alone"
            );
            wrong(&what, "cache = false on this route");
        }
    }
}

/// Reports queries that read the identifier of a request where a client could choose it, and stored
/// responses that depend on facts outside of their key.
pub(super) fn check_facts(routes: &[Route], has_request_id: bool, document: &Document<'_>) {
    for route in routes {
        let Some(query) = route.room.query() else { continue };
        let wrong = |what: &str, expected: &str| {
            document.errors.push(Diagnostic::new(route.span.clone(), what).expected(expected));
        };
        if query.reads(Place::RequestId) && !has_request_id {
            let what = "the query of this route reads \"request_id\", and requests get none";
            wrong(what, "request_id = true in [server]");
        }
        if matches!(route.cache, Cache::Stored(_)) && (query.reads(Place::ClientIp) || query.reads(Place::RequestId)) {
            let what = "the responses of this route depend on the client's address or the request's identifier, \
                so that the cache cannot share them";
            wrong(what, "cache = false on this route");
        }
    }
}

/// Reports routes that demand conditions about a state that no GET tells.
pub(super) fn check_conditions(routes: &[Route], document: &Document<'_>) {
    // The name of a route has its hosts and its path.
    let told: HashSet<String> = routes.iter().filter(|route| route.is_representation()).map(Route::name).collect();
    for route in routes.iter().filter(|route| route.room.query().is_some_and(|query| query.requires_condition)) {
        if !told.contains(&route.name()) {
            let what =
                "\"require_if_match\" needs the ETag of a GET, and no query answers a GET of this path as a whole";
            let expected = "a query route with method = \"GET\", this path, and no \"page\"";
            document.errors.push(Diagnostic::new(route.span.clone(), what).expected(expected));
        }
    }
}

/// Reports responses that would be stored from a standby that may be behind.
///
/// A change reaches the standby after its notice. A response that is read in between would be
/// stored as new.
pub(super) fn check_replicas(routes: &[Route], has_replica: bool, document: &Document<'_>) {
    let (place, expected) = if has_replica {
        ("\"read_url\"", "read_only = false on the route, so that it is read from \"url\", or no groups")
    } else {
        ("any of the hosts in \"url\"", "target_session_attrs=read-write in \"url\", or no groups")
    };
    for route in routes.iter().filter(|route| route.groups().next().is_some()) {
        let Some(query) = route.room.query() else { continue };
        if query.declaration.access == Access::Read || !has_replica {
            let what = format!(
                "the stored responses of this route are invalidated by group, but read from {place}, which may be behind"
            );
            document.errors.push(Diagnostic::new(route.span.clone(), what).expected(expected));
        }
    }
}
