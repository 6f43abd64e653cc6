//! [`Config`]: the configuration of a database.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::ssl_mode::SslMode;
use crate::target::{Target, from_passfile};

/// The configuration of a database. [`Database::new`](crate::Database::new) validates it.
///
/// Its `Debug` form never shows a password.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user@host:port/database?…`, or `key=value` words, as in libpq.
    ///
    /// Several hosts are tried in order. If one does not answer for half a second, the next one is
    /// tried beside it. `postgres://a,b/db?target_session_attrs=read-write` follows a failover.
    ///
    /// Besides the options of tokio-postgres these are known: every `sslmode`, `sslrootcert`,
    /// `sslcert` with `sslkey`, `passfile`, and `primary`, `standby` and `prefer-standby` as
    /// `target_session_attrs`. The last three use a startup option that PgBouncer refuses unless it
    /// is configured to ignore it.
    pub url: String,
    /// The URL for reads, for example of replicas. Their rows may be older than the primary's.
    pub read_url: Option<String>,
    /// The URL for notifications. It goes around a pooler that hands out connections by
    /// transaction, because that cannot carry `LISTEN`. `None` is the same as `url`.
    pub listen_url: Option<String>,
    /// The password, if it is not in the URL.
    pub password: Option<Secret>,
    /// A password file in libpq's format, for URLs without a password. Other users must not be able
    /// to read it.
    pub passfile: Option<PathBuf>,
    /// Overrides the URL's `sslmode`.
    pub ssl_mode: Option<SslMode>,
    /// Overrides the URL's `sslrootcert`: the trusted roots in PEM, or `system`.
    pub ssl_root_cert: Option<PathBuf>,
    /// The limit of connections of this process, over all pools and both URLs. A
    /// [`Listener`](crate::Listener) has one more.
    pub pool_size: usize,
    /// The number of pools, one for each event loop. Each has the shared connections that `shared`
    /// says. If there are more pools, they divide those connections.
    pub pools: usize,
    /// The number of shared connections of each pool. With 0, shared connections take half of
    /// `pool_size`, at most 4 in each pool.
    pub shared: usize,
    /// The limit of the time to open a connection, over all hosts, with TLS and authentication.
    pub connect_timeout: Duration,
    /// The limit of the time that a request waits for a connection. With zero it does not wait.
    pub acquire_timeout: Duration,
    /// The limit of the time that the server works on a statement. In a stream it applies to each
    /// part.
    pub statement_timeout: Duration,
    /// The time after which the server ends an idle transaction.
    pub idle_transaction_timeout: Duration,
    /// The idle time after which a connection is checked before it is used again.
    pub validate_after: Duration,
    /// The lifetime of a connection, which varies by a tenth. Zero is no limit.
    pub max_lifetime: Duration,
    /// The name in `pg_stat_activity`, unless the URL has one.
    pub application_name: String,
    /// The pooler between this process and the database.
    pub pooler: Pooler,
    /// The limit of retries of a transaction after a serialization failure or a deadlock.
    pub retries: u32,
    /// The size in bytes from which an answer is streamed instead of held in memory. A stream has
    /// no `ETag`. The answer of a write is always held, because only its end tells whether it
    /// succeeded. It is limited to 64 MiB: see [`Error::TooLarge`](crate::Error::TooLarge).
    pub stream_from: usize,
}

/// A pooler between a pool and PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooler {
    /// No pooler, or one that gives each session a connection of its own.
    #[default]
    None,
    /// A pooler that hands out connections by transaction, such as PgBouncer: no named statements,
    /// and no settings that outlive a transaction. A [`Listener`](crate::Listener) needs
    /// [`Config::listen_url`].
    Transaction,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Config ===

impl Config {
    /// The defaults for a database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The number of shared connections of each pool.
    pub(crate) fn shared_count(&self) -> usize {
        match (self.pooler, self.shared) {
            (Pooler::Transaction, _) => 0,
            (Pooler::None, 0) => (self.pool_size / 2 / self.pools.max(1)).min(4),
            (Pooler::None, count) => count,
        }
    }

    /// The destination at `url`, with the rest of the configuration: password, names, times.
    pub(crate) fn target(&self, url: &str) -> Result<Target, ConfigError> {
        let mut target = Target::parse(url)?;
        target.ssl_mode = self.ssl_mode.or(target.ssl_mode);
        target.ssl_root_cert = self.ssl_root_cert.clone().or(target.ssl_root_cert);
        if target.pg.get_connect_timeout().is_none() {
            target.pg.connect_timeout(self.connect_timeout);
        }
        if target.pg.get_application_name().is_none() {
            target.pg.application_name(self.application_name.as_str());
        }
        if let Some(password) = &self.password
            && target.pg.get_password().is_none()
        {
            target.pg.password(password.reveal());
        }
        if target.pg.get_password().is_none()
            && let Some(file) = self.passfile.as_ref().or(target.passfile.as_ref())
            && let Some(password) = from_passfile(file, &target.pg)?
        {
            target.pg.password(password);
        }
        Ok(target)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.pools == 0 {
            return Err(ConfigError::new("pools must be at least 1"));
        }
        // The shared connections and one dedicated connection are the minimum.
        let least = self.shared_count() * self.pools + 1;
        if self.pool_size < least {
            let (have, pools) = (self.pool_size, self.pools);
            return Err(ConfigError::new(format!("pool_size is {have}, but {pools} event loops need {least} or more")));
        }
        let finite = [
            ("connect_timeout", self.connect_timeout),
            ("statement_timeout", self.statement_timeout),
            ("idle_transaction_timeout", self.idle_transaction_timeout),
        ];
        for (name, value) in finite {
            // PostgreSQL counts in milliseconds and takes zero for no limit.
            if value.as_millis() == 0 || value.as_millis() > i32::MAX as u128 {
                return Err(ConfigError::new(format!("{name} must be from 1 ms to 24 days")));
            }
        }
        Ok(())
    }
}

impl Default for Config {
    /// The local server with 16 connections. The limits are 3 s to connect, 1 s to wait for a
    /// connection, 5 s for a statement, and 10 s for an idle transaction.
    fn default() -> Self {
        Self {
            url: "postgres:///postgres".into(),
            read_url: None,
            listen_url: None,
            password: None,
            passfile: None,
            ssl_mode: None,
            ssl_root_cert: None,
            pool_size: 16,
            pools: 1,
            shared: 0,
            connect_timeout: Duration::from_secs(3),
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: Duration::from_secs(5),
            idle_transaction_timeout: Duration::from_secs(10),
            validate_after: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(30 * 60),
            application_name: "dunlin".into(),
            pooler: Pooler::None,
            retries: 5,
            stream_from: 64 * 1024,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL that does not parse is not shown, because it is unknown where its password is.
        let place = |url: &str| Target::parse(url).map_or_else(|_| "invalid".to_owned(), |target| target.to_string());
        f.debug_struct("Config")
            .field("url", &place(&self.url))
            .field("read_url", &self.read_url.as_deref().map(place))
            .field("listen_url", &self.listen_url.as_deref().map(place))
            .field("password", &self.password)
            .field("pool_size", &self.pool_size)
            .field("shared", &self.shared_count())
            .field("connect_timeout", &self.connect_timeout)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

// === impl Secret ===

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let config = Config {
            password: Some(Secret::new("hush")),
            read_url: Some("host=r password=hush".into()),
            listen_url: Some("host=l password=hush".into()),
            ..Config::new("postgres://u:hush@h/d?password=hush")
        };
        assert!(!format!("{config:?}").contains("hush"), "{config:?}");
        assert!(format!("{config:?}").contains("u@h"), "{config:?}");
        let broken = Config::new("postgres://u:hush@h:port/d");
        assert!(!format!("{broken:?}").contains("hush"), "{broken:?}");
    }

    #[test]
    fn the_url_has_precedence() {
        let config = Config { password: Some(Secret::new("theirs")), ..Config::default() };
        for (url, password, timeout) in [
            ("postgres://u:own@h/d?connect_timeout=1", "own", 1),
            ("postgres://u@h/d", "theirs", 3),
            ("host=h password=own connect_timeout=2", "own", 2),
        ] {
            let pg = config.target(url).unwrap().pg;
            assert_eq!(pg.get_password(), Some(password.as_bytes()), "{url}");
            assert_eq!(pg.get_connect_timeout(), Some(&Duration::from_secs(timeout)), "{url}");
        }
    }

    #[test]
    fn waits_are_finite_and_the_budget_suffices() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert!(Config { statement_timeout: Duration::ZERO, ..Config::default() }.validate().is_err());
        assert!(Config { pool_size: 0, ..Config::default() }.validate().is_err());
        assert!(Config { pools: 0, ..Config::default() }.validate().is_err());
        assert!(Config { pool_size: 2, shared: 2, ..Config::default() }.validate().is_err());
        assert_eq!(Config { pool_size: 1, ..Config::default() }.validate(), Ok(()));
        assert_eq!(Config { pool_size: 2, ..Config::default() }.validate(), Ok(()));
    }
}
