//! `[[route]]`: what answers where.

use dunlin_pg::Access;
use dunlin_server::Router;
use http::Method;

use super::Context;
use super::kind::{self, Kind};
use super::pattern::Pattern;
use super::policy::Cache;
use super::section::{Read, Section, Value};
use super::source::{Diagnostic, Span};

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// Where the value of `path` stands.
    pub(crate) span: Span,
    pub(crate) path: Pattern,
    pub(crate) methods: Methods,
    pub(crate) kind: Kind,
    /// Whether its answers may be compressed.
    pub(crate) compress: bool,
    /// Whether a request body that comes compressed is decoded.
    pub(crate) decode: bool,
    /// What is kept of its answers; nothing unless it asked.
    pub(crate) cache: Cache,
}

/// The methods that a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    /// All, those that nobody has heard of too.
    Any,
    /// These; HEAD comes with GET.
    Only(Vec<Method>),
}

// === impl Methods ===

impl Methods {
    /// Whether each of them is safe (RFC 9110 §9.2.1), so that a request has no effect and no body.
    pub(crate) fn all_safe(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Only(methods) => methods.iter().all(Method::is_safe),
        }
    }

    /// As a router takes them: none stands for all.
    pub(crate) fn as_slice(&self) -> &[Method] {
        match self {
            Self::Any => &[],
            Self::Only(methods) => methods,
        }
    }

    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(ours), Self::Only(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            _ => true,
        }
    }
}

impl std::fmt::Display for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Only(methods) => {
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

struct MethodName(Method);

impl Read for MethodName {
    const EXPECTED: &'static str = "a method such as \"GET\" or \"POST\", or a list of them";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            // RFC 9110 §9.1: methods are case-sensitive, and the registered ones are in capitals.
            Ok(method) if upper == text => Some(Self(method)),
            _ => value.wrong(format_args!("\"{text}\""), Self::EXPECTED, (upper != text).then_some(upper)),
        }
    }
}

impl Route {
    /// Reads one table of `[[route]]`.
    pub(super) fn read(value: Value<'_>, context: &Context<'_>) -> Option<Self> {
        let mut table = value.section("this route")?;
        let span = table.value_span("path");
        let path = table.require::<Pattern>("path");
        let compress = table.or("compress", true);
        let decode = table.or("decode", false);
        let which = kind::which(&table, context);
        let methods = methods(&mut table, which);
        let cache = table.get("cache").map_or(Some(Cache::Off), |value| Cache::read(value, which));
        let kind = which.and_then(|which| {
            let unknown = (Pattern::unknown(), Methods::Any);
            let (path, methods) = (path.as_ref().unwrap_or(&unknown.0), methods.as_ref().unwrap_or(&unknown.1));
            Kind::read(which, &mut table, path, methods, context)
        });
        if which.is_some() {
            table.finish(|key| kind::belongs(key, which));
        }
        Some(Self { span, path: path?, methods: methods?, kind: kind?, compress, decode, cache: cache? })
    }
}

fn methods(table: &mut Section<'_>, which: Option<kind::Which>) -> Option<Methods> {
    let Some(value) = table.get("method") else {
        return Some(if which == Some(kind::Which::Proxy) { Methods::Any } else { Methods::Only(vec![Method::GET]) });
    };
    let methods: Vec<Method> = value.list(MethodName::read)?.into_iter().map(|MethodName(method)| method).collect();
    if methods.is_empty() {
        return value.wrong("an empty list", MethodName::EXPECTED, None);
    }
    Some(Methods::Only(methods))
}

/// Says which routes clash: the same path, but for the names of parameters, and a method in common. The router that will
/// serve them has the last word.
pub(super) fn clashes(routes: &[Route], context: &Context<'_>) {
    let mut router = Router::new();
    for (index, route) in routes.iter().enumerate() {
        let shape = route.path.shape();
        let earlier = routes[..index].iter().find(|one| one.path.shape() == shape && one.methods.meet(&route.methods));
        if let Some(earlier) = earlier {
            let line = context.source.place(earlier.span.start).line;
            let what = format!("{} {} clashes with the route on line {line}", route.methods, route.path.as_str());
            context.errors.push(
                Diagnostic::new(route.span.clone(), what)
                    .expected("another path or another method")
                    .other(earlier.span.clone(), "the other is here"),
            );
        } else if let Err(error) = router.insert(route.methods.as_slice(), route.path.as_str(), ()) {
            context.errors.push(Diagnostic::new(route.span.clone(), error.to_string()));
        }
    }
}

/// Says what would be kept of a standby that is behind: the change itself comes there after the notice that it was made, so what is
/// read in between would be taken for new, and kept.
pub(super) fn behind(routes: &[Route], has_replica: bool, context: &Context<'_>) {
    let (place, expected) = if has_replica {
        ("\"read_url\"", "read_only = false on the route, so that it is read from \"url\", or no groups")
    } else {
        ("any of the hosts in \"url\"", "target_session_attrs=read-write in \"url\", or no groups")
    };
    for route in routes.iter().filter(|route| !route.cache.groups().is_empty()) {
        let Kind::Query(query) = &route.kind else { continue };
        if query.declared.access == Access::Read || !has_replica {
            let what =
                format!("what this route keeps is invalidated by group, but read from {place}, which may be behind");
            context.errors.push(Diagnostic::new(route.span.clone(), what).expected(expected));
        }
    }
}
