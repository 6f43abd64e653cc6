//! [`Config`]: where the database is, how many connections, how long to wait.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::target::Target;
use crate::tls::SslMode;

/// Where the database is and how it is used. Give it to [`Database::new`](crate::Database::new),
/// which validates it.
///
/// Its `Debug` never shows a password.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user@host:port/database?…`, or `key=value` words, as libpq takes them. Several
    /// hosts are tried in order, and one that says nothing for half a second has the next one tried
    /// beside it; with `postgres://a,b/db?target_session_attrs=read-write` a failover is followed.
    /// Understood besides tokio-postgres's own options: every `sslmode`, `sslrootcert`, `sslcert`
    /// with `sslkey`, `passfile`, and `primary`, `standby` and `prefer-standby` as
    /// `target_session_attrs`; these three come with a startup option, which PgBouncer has to be
    /// told to take.
    pub url: String,
    /// Where reads go instead, replicas say. Their rows may be older than the primary's.
    pub read_url: Option<String>,
    /// Where notices are heard: a way around a pooler that hands out connections by transaction,
    /// which cannot carry `LISTEN`. `None`: as `url`.
    pub listen_url: Option<String>,
    /// The password, when it is not in the URL.
    pub password: Option<Secret>,
    /// A file of passwords in libpq's format, for when neither has one. Others than its owner must
    /// not read it.
    pub passfile: Option<PathBuf>,
    /// Overrides the URL's `sslmode`.
    pub ssl_mode: Option<SslMode>,
    /// Overrides the URL's `sslrootcert`: the trusted roots in PEM, or `system`.
    pub ssl_root_cert: Option<PathBuf>,
    /// The most connections that this process holds, over all pools and both URLs. A
    /// [`Listener`](crate::Listener) has one more.
    pub pool_size: usize,
    /// The number of pools, one for each event loop. Each has the shared connections that `shared`
    /// says. If there are more pools, they divide those connections.
    pub pools: usize,
    /// How many connections each pool keeps open and shares for reads. Zero: half of them all
    /// together, at most 4 each; none when there are too few.
    pub shared: usize,
    /// How long opening a connection may take, over all hosts, TLS and password included.
    pub connect_timeout: Duration,
    /// How long a request may wait for a connection. Zero: not at all.
    pub acquire_timeout: Duration,
    /// How long the server may work on a statement. For an answer in a stream it counts for each
    /// part of it.
    pub statement_timeout: Duration,
    /// How long a transaction may stand idle before the server ends its session.
    pub idle_transaction_timeout: Duration,
    /// After how long without use a connection is asked whether it still lives before it is used
    /// again.
    pub validate_after: Duration,
    /// How long a connection lives, give or take a tenth. Zero: for ever.
    pub max_lifetime: Duration,
    /// What `pg_stat_activity` shows, unless the URL says it.
    pub application_name: String,
    /// What stands between here and the database.
    pub pooler: Pooler,
    /// How often a transaction is run again after a serialization failure or a deadlock.
    pub retries: u32,
    /// From how many bytes an answer is streamed instead of held in memory. What is streamed has no
    /// `ETag`. What a write answers is always held, for only its end tells whether it was done, and
    /// is 64 MiB at most: [`Error::TooLarge`](crate::Error) beyond it.
    pub stream_from: usize,
}

/// What stands between a pool and PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or a pooler that gives each session a connection of its own.
    #[default]
    None,
    /// A pooler that hands connections out by transaction, as PgBouncer does: no named statements,
    /// no settings that outlive a transaction. A [`Listener`](crate::Listener) needs
    /// [`Config::listen_url`], which goes around it.
    Transaction,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A configuration that cannot work. It never has a password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

// === impl Config ===

impl Config {
    /// The defaults for a database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The shared connections of each pool.
    pub(crate) fn shared_count(&self) -> usize {
        match (self.pooler, self.shared) {
            (Pooler::Transaction, _) => 0,
            (Pooler::None, 0) => (self.pool_size / 2 / self.pools.max(1)).min(4),
            (Pooler::None, count) => count,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.pools == 0 {
            return Err(ConfigError::new("pools is 0, and one is the least"));
        }
        // What is shared, and one for everything else, is the least that works.
        let least = self.shared_count() * self.pools + 1;
        if self.pool_size < least {
            let (have, pools) = (self.pool_size, self.pools);
            return Err(ConfigError::new(format!("pool_size is {have}, but {pools} event loops take {least} or more")));
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
    /// The local server, 16 connections; 3 s to connect, 1 s to acquire, 5 s a statement, 10 s idle
    /// in a transaction.
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
        // An URL that does not parse is not shown: its password cannot be told from the rest.
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

// === impl ConfigError ===

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

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
