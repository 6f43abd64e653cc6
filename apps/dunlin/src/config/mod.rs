//! `dunlin.toml`: read and checked as a whole.
//!
//! [`Config::load`] reads the file in one pass and gathers all errors, each with its place. A
//! [`Config`] is valid in itself: the files that it names exist, its routes do not clash, and each
//! route has the keys that its kind needs. An error that only a running part finds, such as a
//! statement that does not prepare, is reported through [`Config::explain`] in the same form.

mod account;
mod acme;
mod certificate;
mod clashes;
mod expand;
mod files;
mod fingerprints;
mod include;
mod layers;
mod listen;
mod log;
mod openapi;
mod route;
mod sections;
mod site;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dunlin_http::Network;
use dunlin_server::{Addr, EventLoop};
use toml::de::{DeTable, DeValue};

use crate::admit::auth::Auth;
use crate::finish::Finish;
use crate::openapi::api::Info;
use crate::process::Account;
use crate::reader::{Diagnostic, Document, Errors, MAX_CONFIGURATION, Names, Section, Source, nulls, read_file};
pub(crate) use acme::Acme;
use expand::Expansion;
pub(crate) use files::Files;
pub(crate) use fingerprints::Fingerprints;
pub(crate) use layers::Cache;
pub(crate) use log::{Format, Log};
#[cfg(test)]
pub(crate) use route::COMMON;
pub(crate) use route::Route;
pub(crate) use sections::Admin;
use sections::Server;
use site::RouteReader;
use upstream::Upstream;

/// A configuration file as it was read.
#[derive(Debug)]
pub(crate) struct Config {
    source: Source,
    warnings: Vec<Diagnostic>,
    /// The parts that routes depend on, to compare them with those of another reading.
    pub(crate) fingerprints: Fingerprints,
    /// The server's settings. Its `max_body` is the largest limit of all routes.
    pub(crate) server: dunlin_server::Config,
    /// The proxies in front of this service, whose fields say who the client is.
    pub(crate) trusted_proxies: Vec<Network>,
    /// `true` if each request gets an identifier.
    pub(crate) request_id: bool,
    /// `true` if requests over plain connections are redirected to `https`.
    pub(crate) redirects_to_https: bool,
    /// The certificates that are ordered.
    pub(crate) acme: Option<Acme>,
    /// The user that the service runs as once its addresses are bound.
    pub(crate) account: Option<Account>,
    /// `true` if the process restricts itself.
    pub(crate) restrict: bool,
    /// `true` if a change of the files is a reload.
    pub(crate) watch: bool,
    /// The files as they were before they were read.
    pub(crate) files: Files,
    /// The limit of request bodies, in bytes, on routes without one of their own.
    pub(crate) max_body: u64,
    pub(crate) admin: Option<Admin>,
    pub(crate) log: Log,
    pub(crate) compression: dunlin_compress::Config,
    pub(crate) cache: Cache,
    pub(crate) fetch: dunlin_fetch::Config,
    pub(crate) database: Option<dunlin_pg::Database>,
    /// The name of the interface, if its description is served.
    pub(crate) openapi: Option<Info>,
    pub(crate) auth: Vec<Auth>,
    pub(crate) upstreams: Vec<Arc<dunlin_fetch::Upstream>>,
    pub(crate) routes: Vec<Route>,
    /// The edits of responses that no route gives.
    pub(crate) finish: Finish,
}

/// The reason why there is no [`Config`].
#[derive(Debug)]
pub(crate) enum Error {
    /// The file could not be read.
    Unreadable { path: PathBuf, error: std::io::Error },
    /// The file is wrong.
    Wrong { source: Box<Source>, diagnostics: Vec<Diagnostic> },
}

/// Tables and keys at the top level that other servers have, and their places here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tls", "[server.tls]"),
    ("http2", "[server.http2]"),
    ("listen", "listen in [server]"),
    ("port", "listen in [server], such as \"[::]:8080\""),
    ("host", "listen in [server], such as \"127.0.0.1:8080\""),
    ("routes", "[[route]]"),
    ("upstreams", "[upstream.NAME]"),
    ("backend", "[upstream.NAME]"),
    ("proxy", "proxy in a [[route]]"),
    ("files", "files in a [[route]]"),
    ("static", "files in a [[route]]"),
];

/// The shortest configuration, for those who have none yet.
pub(crate) const FIRST_FILE: &str = "\
A first dunlin.toml:

    [[route]]
    path = \"/\"
    text = \"Hello, World!\"

Then `dunlin serve`, and open http://127.0.0.1:8080/.";

// === impl Config ===

impl Config {
    /// Reads the file at `path`. `database_url` has precedence over the file.
    pub(crate) fn load(path: &Path, database_url: Option<&str>) -> Result<Self, Error> {
        let files = Files::look(path);
        let (name, text) = text(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Ok(Self { files, ..Self::parse(&name, &text, dir, database_url)? })
    }

    /// Reads `text`. `name` stands for the file in messages.
    pub(crate) fn parse(name: &str, text: &str, dir: &Path, database_url: Option<&str>) -> Result<Self, Error> {
        let mut source = Source::new(name, text);
        let (errors, warnings) = (Errors::default(), Errors::default());
        include::add(&mut source, dir, &errors);
        // The text lives on beside the source, which messages are made with.
        let text = source.text.clone();
        let (mut document, mut broken) = DeTable::parse_recoverable(&text);
        let nulls = nulls(&text, document.get_ref());
        broken.retain(|error| error.span().is_none_or(|span| !nulls.contains(&span)));
        for error in &broken {
            errors.push(source.syntax(error.span().unwrap_or_default(), error.message()));
        }
        let variable = |name: &str| std::env::var(name).ok();
        let mut expansion =
            Expansion { dir, variable: &variable, errors: &errors, warnings: &warnings, hidden: Vec::new() };
        expansion.table(document.get_mut());
        source.hide(expansion.hidden);
        let end = text.trim_end().len();
        let table = Section::new("the file", document.get_ref(), end..end, &errors);
        let has_database = database_url.is_some() || table.has("database");
        let document = Document {
            dir,
            source: &source,
            errors: &errors,
            warnings: &warnings,
            database: has_database,
            has_client_ca: table.contains(&["server", "tls", "client_ca"]),
            auth: Names::new(table.names("auth")),
            upstreams: Names::new(table.names("upstream")),
        };
        // The apparent content of a broken file is not worth errors of its own.
        let config = broken.is_empty().then(|| Self::read(table, database_url, &document));
        let diagnostics = errors.into_inner();
        match config {
            Some(config) if diagnostics.is_empty() => Ok(Self { source, warnings: warnings.into_inner(), ..config }),
            _ => Err(Error::Wrong { source: source.into(), diagnostics }),
        }
    }

    /// The addresses of `[admin]` of the file at `path`, as far as they can be read. `None` without
    /// the table. The file may be wrong elsewhere.
    pub(crate) fn admin_addresses(path: &Path) -> Result<Option<Vec<Addr>>, Error> {
        let (name, text) = text(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let ignored = Errors::default();
        let mut source = Source::new(&name, &text);
        include::add(&mut source, dir, &ignored);
        let text = source.text.clone();
        let (mut document, _) = DeTable::parse_recoverable(&text);
        let variable = |name: &str| std::env::var(name).ok();
        let (errors, warnings) = (&ignored, &ignored);
        let hidden = Vec::new();
        Expansion { dir, variable: &variable, errors, warnings, hidden }.table(document.get_mut());
        let mut table = Section::new("the file", document.get_ref(), 0..0, &ignored);
        let admin = table.section("admin", "[admin]");
        Ok(admin.map(|mut table| listen::admin(table.get("listen"), dir)))
    }

    fn read(mut table: Section<'_>, url: Option<&str>, document: &Document<'_>) -> Self {
        let fingerprints = Fingerprints::read(&table, url, document.dir);
        let certificate_span = table.nested_span(&["server", "tls", "certificate"]);
        let Server { mut server, trusted_proxies, request_id, redirects_to_https, mut acme, account, restrict, watch } =
            table.section("server", "[server]").map(|table| sections::server(table, document)).unwrap_or_default();
        let loops = loops(&server);
        let database = table.section("database", "[database]");
        let has_replica = database.as_ref().is_some_and(|table| table.has("read_url"));
        // The files were added before.
        table.get("include");
        let defaults = table.get("defaults");
        let finish = defaults.and_then(|value| Finish::read_defaults(value, document)).unwrap_or_default();
        let defaults = defaults.and_then(|value| match value.raw() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        if let Some(defaults) = defaults {
            route::check_defaults(defaults, document);
        }
        let mut reader = RouteReader { defaults, document, routes: Vec::new() };
        table.get("site").into_iter().for_each(|value| reader.sites(value));
        table.get("route").into_iter().for_each(|value| reader.routes(value));
        let mut routes = reader.routes;
        let openapi = table.get("openapi").and_then(|value| openapi::OpenApi::read(value, defaults, document));
        let openapi = openapi.map(|openapi| {
            routes.extend(openapi.routes);
            openapi.info
        });
        if let Some(acme) = &mut acme {
            acme.complete(&routes, &server.listen, document);
        } else if let Some(tls) = &server.tls {
            certificate::check(&tls.pairs, certificate_span, &routes, document);
        }
        clashes::check(&routes, server.tls.is_some(), document);
        let auth = table.get("auth").map(|value| Auth::read_all(value, document)).unwrap_or_default();
        route::check_claims(&routes, document);
        route::check_facts(&routes, request_id, document);
        route::check_conditions(&routes, document);
        let upstreams = table.get("upstream").map(|value| Upstream::read_all(value, document)).unwrap_or_default();
        upstream::check_unused(&upstreams, &routes, document);
        let max_body = server.max_body;
        server.max_body = routes.iter().filter_map(|route| route.max_body).fold(max_body, u64::max);
        // A DATABASE_URL in the environment that no route needs is no reason to connect.
        let needed = database.is_some() || routes.iter().any(|route| route.room.query().is_some());
        let database = layers::database(database, url.filter(|_| needed), loops, document);
        if has_replica || database.as_ref().is_some_and(dunlin_pg::Database::may_be_behind) {
            route::check_replicas(&routes, has_replica, document);
        }
        let public: Vec<_> = server.listen.iter().map(|listen| listen.addr.clone()).collect();
        let config = Self {
            admin: table.section("admin", "[admin]").map(|table| Admin::read(table, &public, document)),
            log: table.section("log", "[log]").map(|table| Log::read(table, document)).unwrap_or_default(),
            compression: table.section("compression", "[compression]").map(layers::compression).unwrap_or_default(),
            cache: table.section("cache", "[cache]").map(|table| Cache::read(table, document)).unwrap_or_default(),
            fetch: table.section("fetch", "[fetch]").map(|table| layers::fetch(table, document)).unwrap_or_default(),
            database,
            openapi,
            auth,
            upstreams: upstreams.into_iter().map(|upstream| upstream.shared).collect(),
            routes,
            server,
            trusted_proxies,
            request_id,
            redirects_to_https,
            acme,
            account,
            restrict,
            watch,
            files: Files::default(),
            max_body,
            finish,
            source: Source::default(),
            warnings: Vec::new(),
            fingerprints,
        };
        table.finish(|key| {
            let (_, place) = ELSEWHERE.iter().find(|(name, _)| *name == key)?;
            Some(format!("unknown key \"{key}\" in the file; it is {place}"))
        });
        config
    }

    /// Renders errors at places of the file in the form of the file's own errors.
    pub(crate) fn explain(&self, diagnostics: Vec<Diagnostic>, colour: bool) -> String {
        self.source.render(diagnostics, colour)
    }

    /// The warnings about the file, rendered.
    pub(crate) fn warnings(&self, colour: bool) -> String {
        let warnings = self.warnings.iter().cloned().map(Diagnostic::into_warning);
        self.source.render(warnings.collect(), colour)
    }

    /// The warnings about the file for the log, on one line each.
    pub(crate) fn warning_lines(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(|warning| self.source.line(warning))
    }

    /// The number of event loops.
    pub(crate) fn loops(&self) -> usize {
        loops(&self.server)
    }

    /// The file's name, as it was given.
    pub(crate) fn file(&self) -> &str {
        self.source.name()
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

/// The number of routes, in words.
pub(crate) fn count(routes: usize) -> String {
    match routes {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    }
}

/// The name and the text of the file at `path`.
fn text(path: &Path) -> Result<(String, String), Error> {
    let bytes =
        read_file(path, MAX_CONFIGURATION).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| Error::foreign(&name, &error))?;
    Ok((name, text))
}

/// The number of event loops.
fn loops(server: &dunlin_server::Config) -> usize {
    match (server.event_loop, server.workers) {
        (EventLoop::Shared, _) => 1,
        (EventLoop::PerCore, 0) => std::thread::available_parallelism().map_or(1, Into::into),
        (EventLoop::PerCore, workers) => workers,
    }
}

// === impl Error ===

impl Error {
    /// The error of a file that is not UTF-8.
    fn foreign(name: &str, error: &std::string::FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let diagnostic = Diagnostic::new(at..at + 1, "this is no UTF-8, which the file must be");
        Self::Wrong { source: Source::new(name, text).into(), diagnostics: vec![diagnostic] }
    }

    /// The message, coloured for a terminal.
    pub(crate) fn render(self, colour: bool) -> String {
        match self {
            Self::Unreadable { path, error } => {
                let hint = match error.kind() {
                    std::io::ErrorKind::NotFound => "; give another path with --config",
                    _ => "",
                };
                format!("{}: cannot be read: {error}{hint}\n", path.display())
            }
            Self::Wrong { source, diagnostics } => source.render(diagnostics, colour),
        }
    }
}
