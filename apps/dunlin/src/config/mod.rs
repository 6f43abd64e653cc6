//! `dunlin.toml`: read, checked, and either whole or not at all.
//!
//! [`Config::load`] reads the file in one pass. What is wrong in it is gathered rather than given up on, so that a person sees
//! all of it at once, each with its place. A [`Config`] that exists is right in itself: what it names is there, its
//! routes do not clash, and each has what its kind needs. What only a running part can tell, a statement that does not
//! prepare, is reported through [`Config::explain`] in the same form.

mod kind;
mod layers;
mod pattern;
mod policy;
mod query;
mod route;
mod section;
mod sections;
mod source;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

use dunlin_server::EventLoop;
use toml::de::{DeTable, DeValue};

pub(crate) use kind::{Fetch, Kind};
pub(crate) use layers::Cache;
pub(crate) use pattern::Pattern;
pub(crate) use policy::Cache as RouteCache;
pub(crate) use query::Query;
pub(crate) use route::Route;
pub(crate) use sections::{Admin, Format, Log};
pub(crate) use source::{Diagnostic, Source};

use section::{Errors, Section, Value};

/// All that a file says.
#[derive(Debug)]
pub(crate) struct Config {
    source: Source,
    pub(crate) server: dunlin_server::Config,
    pub(crate) admin: Option<Admin>,
    pub(crate) log: Log,
    pub(crate) compression: dunlin_compress::Config,
    pub(crate) cache: Cache,
    pub(crate) fetch: dunlin_fetch::Config,
    pub(crate) database: Option<dunlin_pg::Database>,
    pub(crate) routes: Vec<Route>,
}

/// Why there is no [`Config`].
#[derive(Debug)]
pub(crate) enum Error {
    /// The file could not be read.
    Unreadable { path: PathBuf, error: std::io::Error },
    /// It was read, and is wrong.
    Wrong { source: Source, diagnostics: Vec<Diagnostic> },
}

/// What the file is read in: where it stands, and where errors go.
struct Context<'c> {
    /// What relative paths are relative to.
    dir: &'c Path,
    source: &'c Source,
    errors: &'c Errors,
    /// Whether there is a database to ask.
    database: bool,
}

// === impl Config ===

impl Config {
    /// Reads the file at `path`. `database_url` wins over what the file says.
    pub(crate) fn load(path: &Path, database_url: Option<&str>) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
        let name = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|error| Error::foreign(&name, &error))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&name, &text, dir, database_url)
    }

    /// Reads `text`, which messages call `name`.
    fn parse(name: &str, text: &str, dir: &Path, database_url: Option<&str>) -> Result<Self, Error> {
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        let errors = Errors::default();
        let (document, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            errors.push(Diagnostic::new(error.span().unwrap_or_default(), error.message()));
        }
        let end = text.trim_end().len();
        let table = Section::new("the file", document.get_ref(), end..end, &errors);
        // What a broken document seems to say is not worth an error of its own.
        let config = broken.is_empty().then(|| Self::read(table, &source, dir, database_url, &errors));
        let diagnostics = errors.into_inner();
        match config {
            Some(config) if diagnostics.is_empty() => Ok(Self { source, ..config }),
            _ => Err(Error::Wrong { source, diagnostics }),
        }
    }

    fn read(mut table: Section<'_>, source: &Source, dir: &Path, url: Option<&str>, errors: &Errors) -> Self {
        let database = url.is_some() || table.has("database");
        let context = Context { dir, source, errors, database };
        let server =
            table.section("server", "[server]").map(|table| sections::server(table, &context)).unwrap_or_default();
        let loops = match (server.event_loop, server.workers) {
            (EventLoop::Shared, _) => 1,
            (EventLoop::PerCore, 0) => std::thread::available_parallelism().map_or(1, Into::into),
            (EventLoop::PerCore, workers) => workers,
        };
        let database = table.section("database", "[database]");
        let has_replica = database.as_ref().is_some_and(|table| table.has("read_url"));
        let routes = table.get("route").map(|value| routes(value, &context)).unwrap_or_default();
        // A DATABASE_URL that happens to be in the environment is no reason to connect to it.
        let asked = database.is_some() || routes.iter().any(|route| matches!(route.kind, Kind::Query(_)));
        let database = layers::database(database, url.filter(|_| asked), loops, &context);
        if has_replica || database.as_ref().is_some_and(dunlin_pg::Database::may_be_behind) {
            route::behind(&routes, has_replica, &context);
        }
        let config = Self {
            admin: table.section("admin", "[admin]").map(|table| Admin::read(table, &context)),
            log: table.section("log", "[log]").map(Log::read).unwrap_or_default(),
            compression: table.section("compression", "[compression]").map(layers::compression).unwrap_or_default(),
            cache: table.section("cache", "[cache]").map(|table| Cache::read(table, &context)).unwrap_or_default(),
            fetch: table.section("fetch", "[fetch]").map(|table| layers::fetch(table, &context)).unwrap_or_default(),
            database,
            routes,
            server,
            source: Source::default(),
        };
        table.finish(|_| None);
        config
    }

    /// Says what is wrong at places of the file that was read, as the errors of the file itself are said.
    pub(crate) fn explain(&self, diagnostics: Vec<Diagnostic>, colour: bool) -> String {
        self.source.render(diagnostics, colour)
    }

    /// The file's name, as it was given.
    pub(crate) fn file(&self) -> &str {
        &self.source.name
    }
}

/// Each `[[route]]`.
fn routes(value: Value<'_>, context: &Context<'_>) -> Vec<Route> {
    let DeValue::Array(_) = value.raw() else {
        let what = "\"route\" is not a list";
        let meant = Some("[[route]]").filter(|_| matches!(value.raw(), DeValue::Table(_)));
        context.errors.push(Diagnostic::new(value.span(), what).expected("[[route]], once for each").meant(meant));
        return Vec::new();
    };
    let routes = value.elements().into_iter().filter_map(|value| Route::read(value, context)).collect::<Vec<_>>();
    route::clashes(&routes, context);
    routes
}

// === impl Context ===

impl Context<'_> {
    /// A folder that has to be there.
    fn folder(&self, value: Value<'_>) -> Option<PathBuf> {
        self.existing(value, "a folder", Path::is_dir)
    }

    /// A file that has to be there.
    fn file(&self, value: Value<'_>) -> Option<PathBuf> {
        self.existing(value, "a file", Path::is_file)
    }

    fn existing(&self, value: Value<'_>, kind: &'static str, is: fn(&Path) -> bool) -> Option<PathBuf> {
        let text = value.str(kind)?;
        let path = self.dir.join(text);
        if is(&path) {
            return Some(path);
        }
        let state = if path.exists() { "is not" } else { "does not exist" };
        let what = match path.exists() {
            true => format!("\"{}\" {state} {kind}", path.display()),
            false => format!("\"{}\" {state}", path.display()),
        };
        value.error(
            Diagnostic::new(value.span(), what)
                .expected(format!("{kind}, relative to this file"))
                .meant(self.sibling(text)),
        );
        None
    }

    /// A name in the same folder that looks like it.
    fn sibling(&self, text: &str) -> Option<String> {
        let wanted = Path::new(text);
        let name = wanted.file_name()?.to_str()?;
        let parent = wanted.parent().unwrap_or(Path::new(""));
        let names: Vec<String> = std::fs::read_dir(self.dir.join(parent))
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(parent.join(section::nearest(name, &known)?).display().to_string())
    }
}

// === impl Error ===

impl Error {
    /// What is no UTF-8.
    fn foreign(name: &str, error: &std::string::FromUtf8Error) -> Self {
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let diagnostic = Diagnostic::new(at..at + 1, "this is no UTF-8, in which the file has to be");
        Self::Wrong { source: Source { name: name.to_owned(), text }, diagnostics: vec![diagnostic] }
    }

    /// The message, coloured for a terminal.
    pub(crate) fn render(self, colour: bool) -> String {
        match self {
            Self::Unreadable { path, error } => {
                let hint = match error.kind() {
                    std::io::ErrorKind::NotFound => "; say where it is with --config",
                    _ => "",
                };
                format!("{}: cannot be read: {error}{hint}\n", path.display())
            }
            Self::Wrong { source, diagnostics } => source.render(diagnostics, colour),
        }
    }
}
