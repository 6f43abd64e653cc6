//! `[compression]`, `[cache]`, `[fetch]` and `[database]`.

use std::path::PathBuf;

use dunlin_cache_redis::RedisStore;
use dunlin_compress::{Config as Compression, Levels, Types};
use dunlin_fetch::Config as Outbound;
use dunlin_http::negotiate::Coding;
use dunlin_pg::{Config, Database, Pooler, Secret};

use crate::reader::{Diagnostic, Document, Field, Read, Section, Value};

/// `[cache]`.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) config: dunlin_cache::Config,
    /// The channel of the database's notices.
    pub(crate) notify: String,
    /// The second level, which instances share.
    pub(crate) redis: Option<RedisStore>,
}

const CODINGS: &[(&str, Coding)] = &[("zstd", Coding::Zstd), ("br", Coding::Brotli), ("gzip", Coding::Gzip)];

const POOLERS: &[(&str, Pooler)] = &[("none", Pooler::None), ("transaction", Pooler::Transaction)];

/// An entry of a list of media types.
struct MediaTypes(String);

impl Read for MediaTypes {
    const EXPECTED: &'static str = "a media type such as \"application/x-own\", \"model/*\" or \"!text/csv\"";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        match Types::none().with(text) {
            Ok(_) => Some(Self(text.to_owned())),
            Err(_) => value.wrong(format_args!("\"{text}\""), Self::EXPECTED, None),
        }
    }
}

/// Reads `[compression]`.
pub(super) fn compression(mut table: Section<'_>) -> Compression {
    let mut compression = Compression::default();
    if let Some(prefer) = table.get("prefer").and_then(|value| value.list(|value| value.word(CODINGS))) {
        compression.prefer = prefer;
    }
    if let Some(table) = table.section("level", "level") {
        levels(table, &mut compression.level);
    }
    if let Some(table) = table.section("kept_level", "kept_level") {
        levels(table, &mut compression.kept_level);
    }
    table.set_size("min_size", &mut compression.min_size);
    let types: Vec<MediaTypes> = table.or("types", Vec::new());
    for MediaTypes(entry) in types {
        compression.types = compression.types.clone().with(&entry).unwrap_or(compression.types);
    }
    table.set_size("memory", &mut compression.store);
    table.set("threads", &mut compression.threads);
    table.finish(|_| None);
    compression
}

fn levels(mut table: Section<'_>, levels: &mut Levels) {
    let mut level = |key, min, max, expected, place: &mut u8| {
        if let Some(level) = table.get(key).and_then(|value| value.integer(min, max, expected)) {
            *place = level as u8;
        }
    };
    level("gzip", 1, 9, "a level from 1 to 9", &mut levels.gzip);
    level("br", 0, 11, "a level from 0 to 11", &mut levels.br);
    level("zstd", 1, 19, "a level from 1 to 19", &mut levels.zstd);
    table.finish(|_| None);
}

// === impl Cache ===

impl Cache {
    pub(super) fn read(mut table: Section<'_>, document: &Document<'_>) -> Self {
        let mut cache = Self::default();
        let config = &mut cache.config;
        table.set("name", &mut config.name);
        table.set_size("memory", &mut config.memory);
        table.set_size("max_entry", &mut config.max_entry);
        table.set("max_variants", &mut config.max_variants);
        table.set("lock_timeout", &mut config.lock_timeout);
        table.set("disconnected", &mut config.disconnected);
        if let Some(targets) = table.read::<Vec<Field>>("targets") {
            config.targets = targets.into_iter().map(|Field(name)| name).collect();
        }
        table.set("tell_key", &mut config.tell_key);
        table.set("notify", &mut cache.notify);
        let prefix: Option<String> = table.read("redis_prefix");
        let ca_file = table.get("redis_ca_file").and_then(|value| document.file(value));
        cache.redis = table.get("redis").and_then(|value| redis(value, prefix, ca_file));
        table.finish(|_| None);
        cache
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { config: dunlin_cache::Config::default(), notify: "dunlin_cache".to_owned(), redis: None }
    }
}

/// Opens the second level. A server that is away is no error here.
fn redis(value: Value<'_>, prefix: Option<String>, ca_file: Option<PathBuf>) -> Option<RedisStore> {
    const EXPECTED: &str = "a URL such as \"redis://127.0.0.1/\"";
    let mut config = dunlin_cache_redis::Config::new(value.str(EXPECTED)?);
    config.prefix = prefix.unwrap_or(config.prefix);
    config.ca_file = ca_file;
    let wrong = |error| match error {
        // The URL may contain a password, which must not be in the message.
        dunlin_cache_redis::Error::Url(_) => value.wrong::<()>("this URL", EXPECTED, None),
        error => value.wrong(error, EXPECTED, None),
    };
    RedisStore::open(config).map_err(wrong).ok()
}

/// Reads `[fetch]`.
pub(super) fn fetch(mut table: Section<'_>, document: &Document<'_>) -> Outbound {
    let mut outbound = Outbound::default();
    table.set_deadline("connect_timeout", &mut outbound.connect_timeout);
    table.set_deadline("timeout", &mut outbound.response_timeout);
    table.set_deadline("read_timeout", &mut outbound.read_timeout);
    table.set("idle_timeout", &mut outbound.idle_timeout);
    table.set_positive("max_connections", &mut outbound.max_connections);
    table.set("max_idle", &mut outbound.max_idle);
    table.set("acquire_timeout", &mut outbound.acquire_timeout);
    table.set("retry", &mut outbound.retry);
    table.set_positive("max_fields", &mut outbound.max_fields);
    table.set_size("max_text", &mut outbound.max_text);
    table.set("max_redirects", &mut outbound.max_redirects);
    outbound.ca_file = table.get("ca_file").and_then(|value| document.file(value));
    table.finish(|_| None);
    outbound
}

/// Reads `[database]`. A `url` from the environment makes a database without the table, too.
pub(super) fn database(
    table: Option<Section<'_>>,
    url: Option<&str>,
    loops: usize,
    document: &Document<'_>,
) -> Option<Database> {
    // There is a pool per loop, and by default there are connections enough for all.
    let mut config =
        Config { pools: loops, pool_size: Config::default().pool_size.max(2 * loops), ..Config::default() };
    // Most errors are about the URL; the others name their key.
    let span = table.as_ref().map_or(0..0, |table| table.value_span("url"));
    let from = if url.is_some() { "DATABASE_URL: " } else { "" };
    match (table, url) {
        (None, None) => return None,
        (None, Some(url)) => url.clone_into(&mut config.url),
        (Some(table), url) => fill(table, url, &mut config, document)?,
    }
    let place = |error: dunlin_pg::ConfigError| {
        document.errors.push(Diagnostic::new(span, format!("{from}{error}")).secret());
    };
    Database::new(config).map_err(place).ok()
}

fn fill(mut table: Section<'_>, url: Option<&str>, config: &mut Config, document: &Document<'_>) -> Option<()> {
    let own: Option<String> = if url.is_some() { table.read("url") } else { table.require("url") };
    table.set("read_url", &mut config.read_url);
    table.set("listen_url", &mut config.listen_url);
    config.password = table.read("password").map(|password: String| Secret::new(password));
    config.passfile = table.read("passfile").map(|path: PathBuf| document.dir.join(path));
    table.set("pool_size", &mut config.pool_size);
    table.set("shared", &mut config.shared);
    table.set("connect_timeout", &mut config.connect_timeout);
    table.set("acquire_timeout", &mut config.acquire_timeout);
    table.set("statement_timeout", &mut config.statement_timeout);
    table.set("idle_transaction_timeout", &mut config.idle_transaction_timeout);
    table.set("validate_after", &mut config.validate_after);
    table.set("max_lifetime", &mut config.max_lifetime);
    table.set("application_name", &mut config.application_name);
    table.set_word("pooler", POOLERS, &mut config.pooler);
    table.set("retries", &mut config.retries);
    table.finish(|_| None);
    config.url = url.map(str::to_owned).or(own)?;
    Some(())
}
