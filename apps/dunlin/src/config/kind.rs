//! What a route answers with: one of five kinds, each with keys of its own.

use std::path::PathBuf;
use std::time::Duration;

use dunlin_fetch::{Network, ProxyConfig};
use http::uri::Authority;
use http::{HeaderValue, Uri};
use toml::de::{DeString, DeValue};

use super::Context;
use super::pattern::Pattern;
use super::query::{self, Query};
use super::route::Methods;
use super::section::{Read, Section, Value};
use super::source::Diagnostic;

/// What a route answers with.
#[derive(Debug)]
pub(crate) enum Kind {
    Text(Text),
    Files(Files),
    Query(Query),
    Fetch(Fetch),
    Proxy(Proxy),
}

/// The key that says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Text,
    Files,
    Query,
    Fetch,
    Proxy,
}

/// A fixed text.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) content_type: HeaderValue,
}

/// A folder of files.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    pub(crate) config: dunlin_static::Config,
}

/// The text of another page.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) url: Uri,
    /// How many characters of it; all of them if absent.
    pub(crate) take: Option<usize>,
    pub(crate) timeout: Option<Duration>,
}

/// Another service.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: Uri,
    pub(crate) config: ProxyConfig,
    pub(crate) invalidates: Vec<String>,
}

/// A name, and the keys that only routes of this kind may have.
const KINDS: &[(Which, &str, &[&str])] = &[
    (Which::Text, "text", &["text", "content_type"]),
    (Which::Files, "files", &["files", "index", "spa", "listing", "not_found", "immutable", "precompressed", "types"]),
    (
        Which::Query,
        "query",
        &["query", "params", "default", "rows", "status", "invalidates", "isolation", "read_only", "format", "share"],
    ),
    (Which::Fetch, "fetch", &["fetch", "take", "timeout"]),
    (
        Which::Proxy,
        "proxy",
        &["proxy", "keep_path", "preserve_host", "timeout", "trusted", "forwarded", "upgrades", "invalidates"],
    ),
];

// === impl Which ===

impl Which {
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(which, ..)| *which == self).map_or("", |(_, name, _)| name)
    }
}

/// The kind of a route: it has exactly one of the five keys.
pub(super) fn which(table: &Section<'_>, context: &Context<'_>) -> Option<Which> {
    let mut present: Vec<_> = KINDS.iter().filter(|(_, key, _)| table.has(key)).collect();
    present.sort_by_key(|(_, key, _)| table.key_span(key).start);
    match present[..] {
        [] => {
            let expected = "one of text, files, query, fetch, proxy";
            let what = "this route has nothing to answer with";
            context.errors.push(Diagnostic::new(table.span.clone(), what).expected(expected));
            None
        }
        [&(which, ..)] => Some(which),
        [(_, first, _), (_, second, _), ..] => {
            let what = format!("this route has \"{first}\" and \"{second}\"");
            context.errors.push(
                Diagnostic::new(table.key_span(second), what)
                    .expected("exactly one of text, files, query, fetch, proxy")
                    .other(table.key_span(first), "the other is here"),
            );
            None
        }
    }
}

/// Where a key belongs that a route of the kind `here` cannot have.
pub(super) fn belongs(key: &str, here: Option<Which>) -> Option<String> {
    let homes: Vec<&str> = KINDS.iter().filter(|(_, _, keys)| keys.contains(&key)).map(|(_, name, _)| *name).collect();
    let here = here.map_or("", Which::name);
    (!homes.is_empty()).then(|| format!("\"{key}\" belongs to a {} route; this is a {here} route", homes.join(" or ")))
}

// === impl Kind ===

impl Kind {
    pub(super) fn read(
        which: Which,
        table: &mut Section<'_>,
        path: &Pattern,
        methods: &Methods,
        context: &Context<'_>,
    ) -> Option<Self> {
        match which {
            Which::Text => Text::read(table).map(Self::Text),
            Which::Files => Files::read(table, path, methods, context).map(Self::Files),
            Which::Query => Query::read(table, path, methods, context).map(Self::Query),
            Which::Fetch => Fetch::read(table).map(Self::Fetch),
            Which::Proxy => Proxy::read(table, methods).map(Self::Proxy),
        }
    }

    pub(crate) const fn which(&self) -> Which {
        match self {
            Self::Text(_) => Which::Text,
            Self::Files(_) => Which::Files,
            Self::Query(_) => Which::Query,
            Self::Fetch(_) => Which::Fetch,
            Self::Proxy(_) => Which::Proxy,
        }
    }

    /// The groups that a success of this route invalidates.
    pub(crate) fn invalidates(&self) -> &[String] {
        match self {
            Self::Query(query) => &query.invalidates,
            Self::Proxy(proxy) => &proxy.invalidates,
            Self::Text(_) | Self::Files(_) | Self::Fetch(_) => &[],
        }
    }
}

impl Text {
    fn read(table: &mut Section<'_>) -> Option<Self> {
        let content_type = match table.get("content_type") {
            Some(value) => media_type(value),
            None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
        };
        Some(Self { text: table.read("text")?, content_type: content_type? })
    }
}

fn media_type(value: Value<'_>) -> Option<HeaderValue> {
    const EXPECTED: &str = "a media type such as \"text/html; charset=utf-8\"";
    let text = value.str(EXPECTED)?;
    let known = dunlin_http::media_type::MediaType::parse(text).and(HeaderValue::from_str(text).ok());
    known.or_else(|| value.wrong(format_args!("\"{text}\""), EXPECTED, None))
}

impl Files {
    fn read(table: &mut Section<'_>, path: &Pattern, methods: &Methods, context: &Context<'_>) -> Option<Self> {
        let value = table.get("files")?;
        let mut config = dunlin_static::Config::default();
        table.set("index", &mut config.index);
        table.set("spa", &mut config.spa);
        table.set("listing", &mut config.listing);
        table.set("not_found", &mut config.not_found);
        table.set("immutable", &mut config.immutable);
        table.set("precompressed", &mut config.precompressed);
        config.types = table.get("types").and_then(types).unwrap_or_default();
        if path.rest().is_none() {
            let what = format!("the path \"{}\" of a files route has no end for their names", path.as_str());
            let meant = format!("{}/{{*path}}", path.as_str().trim_end_matches('/'));
            let expected = "a path that ends in {*path}";
            let diagnostic = Diagnostic::new(table.value_span("path"), what).expected(expected).meant(Some(meant));
            context.errors.push(diagnostic);
            return None;
        }
        if !methods.all_safe() {
            let what = "files are only read";
            context.errors.push(Diagnostic::new(table.value_span("method"), what).expected("no method but GET"));
        }
        Some(Self { root: context.folder(value)?, config })
    }
}

/// Media types by extension.
fn types(value: Value<'_>) -> Option<Vec<(String, String)>> {
    const EXPECTED: &str = "a table of media types by extension, such as { md = \"text/markdown\" }";
    let DeValue::Table(table) = value.raw() else { return value.wrong_type(EXPECTED) };
    let entry = |(key, media): (&toml::Spanned<DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
        let DeValue::String(media) = media.get_ref() else { return value.wrong_type(EXPECTED) };
        Some((key.get_ref().clone().into_owned(), media.clone().into_owned()))
    };
    table.iter().map(entry).collect()
}

impl Fetch {
    fn read(table: &mut Section<'_>) -> Option<Self> {
        let timeout = table.deadline("timeout");
        let take = table.read("take");
        Some(Self { url: url(table.get("fetch")?)?, take, timeout })
    }
}

impl Proxy {
    fn read(table: &mut Section<'_>, methods: &Methods) -> Option<Self> {
        let mut config = ProxyConfig::default();
        table.set("keep_path", &mut config.keep_path);
        table.set("preserve_host", &mut config.preserve_host);
        config.response_timeout = table.deadline("timeout");
        table.set("trusted", &mut config.trusted);
        table.set("forwarded", &mut config.forwarded);
        table.set("upgrades", &mut config.upgrades);
        let invalidates = query::invalidates(table, methods);
        let value = table.get("proxy")?;
        let url = url(value)?;
        if url.query().is_some() {
            let without = url.to_string().split('?').next().map(str::to_owned);
            return value.wrong(format_args!("\"{url}\": a query comes from the client"), "a URL without one", without);
        }
        Some(Self { url, config, invalidates: invalidates? })
    }
}

impl Read for Network {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\", or an address";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        text.parse().ok().or_else(|| value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None))
    }
}

fn url(value: Value<'_>) -> Option<Uri> {
    const EXPECTED: &str = "a URL such as \"http://127.0.0.1:9000\"";
    let text = value.str(EXPECTED)?;
    match text.parse::<Uri>() {
        Ok(url) if matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() => {
            let authority = url.authority().map_or("", Authority::as_str);
            if authority.contains('@') {
                let what = "there is a user in this URL";
                value.error(Diagnostic::new(value.span(), what).expected(EXPECTED).secret());
                return None;
            }
            let port = authority.strip_prefix(url.host().unwrap_or_default()).unwrap_or_default();
            if !matches!(port, "" | ":") && url.port_u16().is_none_or(|port| port == 0) {
                return value.wrong(format_args!("\"{text}\": there is no such port"), EXPECTED, None);
            }
            Some(url)
        }
        parsed => {
            let bare = parsed.is_ok_and(|url| url.scheme().is_none()) && !text.starts_with('/');
            value.wrong(format_args!("\"{text}\""), EXPECTED, bare.then(|| format!("http://{text}")))
        }
    }
}
