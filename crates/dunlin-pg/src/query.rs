//! [`Query`]: a declared query, its statements and where their parameters come from.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::types::Type;

use crate::param::Param;
use crate::settings::{Role, Setting, Settings};
use crate::sql::{self, Effects};

/// A query as it is declared, once: SQL, where its parameters come from, what it answers.
///
/// ```
/// use dunlin_pg::{Query, Rows, Source};
///
/// let query = Query {
///     params: vec![Source::named("user_id")],
///     rows: Rows::One,
///     ..Query::new(["SELECT * FROM users WHERE id = $1"])
/// };
/// assert!(query.validate().is_ok());
/// assert!(Query::new(["SELECT $1"]).validate().is_err(), "nothing provides $1");
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    /// What logs and errors call it: the route's path, say.
    pub name: String,
    /// The statements, in order; the last one answers. More than one are one transaction. `$n`
    /// means `params[n - 1]` in each of them, and a statement need not use them all.
    pub statements: Vec<String>,
    /// Where `$1`, `$2`, … come from.
    pub params: Vec<Source>,
    /// One row or many.
    pub rows: Rows,
    /// Whether it may write. A read cannot: its session is read-only.
    pub access: Access,
    /// The isolation of its transaction. `None` is the database's default, and then a single
    /// statement needs none.
    pub isolation: Option<Isolation>,
    /// The status of a good answer.
    pub status: StatusCode,
    /// Whether identical reads that wait at one moment become one. None is ever answered by a read
    /// that was sent before it came, so what it gets is never older than itself.
    pub share: bool,
    /// What a client may ask for by `Accept` besides JSON.
    pub formats: Formats,
    /// The settings of its transaction, for policies of row-level security. A query with settings
    /// has a dedicated connection.
    pub settings: Vec<Setting>,
    /// The role of its transaction.
    pub role: Option<Role>,
}

/// How many rows an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// One object, the first row; 404 when there is none.
    One,
    /// An array.
    #[default]
    Many,
}

/// Whether a query may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// It runs read-only, may be shared, retried, and sent to a replica.
    #[default]
    Read,
    /// It runs once on the primary. Only serialization failures and deadlocks are retried.
    Write,
}

/// The isolation of a transaction (PostgreSQL §13.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed before it began.
    ReadCommitted,
    /// All see what was committed before the first.
    RepeatableRead,
    /// As if the transactions came one after the other.
    Serializable,
}

/// The formats of an answer with many rows, besides JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// `text/csv` (RFC 4180).
    pub csv: bool,
    /// `application/x-ndjson`: an object a line.
    pub ndjson: bool,
}

/// Where a parameter comes from.
#[derive(Clone, Debug)]
pub struct Source {
    place: Place,
    full: Arc<str>,
    default: Option<Param>,
}

/// Which part of a request holds a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A parameter of the path, else of the query string.
    Url,
    /// A field of the JSON body.
    Body,
    /// A field of the head.
    Header,
    /// A claim of the client's verified identity.
    Claim,
}

/// A declaration that cannot work, told without asking the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError(String);

/// A statement made ready: dense parameters and which of the query's each is.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Arc<str>,
    /// For each of its own parameters the index in [`Query::params`].
    pub(crate) uses: Vec<usize>,
    /// The types of its parameters as the server last had them, for where no prepared statement
    /// remembers them.
    types: Mutex<Option<Arc<[Type]>>>,
}

// === impl Query ===

impl Query {
    /// A read of many rows without parameters; the rest is set by struct update.
    #[must_use]
    pub fn new<S: Into<String>>(statements: impl IntoIterator<Item = S>) -> Self {
        Self {
            name: String::new(),
            statements: statements.into_iter().map(Into::into).collect(),
            params: Vec::new(),
            rows: Rows::Many,
            access: Access::Read,
            isolation: None,
            status: StatusCode::OK,
            share: true,
            formats: Formats::default(),
            settings: Vec::new(),
            role: None,
        }
    }

    /// Whether the statements and the parameters fit, as far as that can be told without the
    /// database.
    ///
    /// # Errors
    /// No statement, a `$n` that `params` does not have, or a parameter that no statement uses.
    pub fn validate(&self) -> Result<(), QueryError> {
        self.prepare().map(drop)?;
        Settings::of(self).map(drop)
    }

    /// The effects of the statements on their session. If they leave something in it, such as a
    /// setting or an advisory lock, the connection is cleaned afterwards.
    pub(crate) fn effects(&self) -> Effects {
        self.statements.iter().map(|statement| Effects::of(statement)).fold(Effects::default(), Effects::and)
    }

    /// Returns `true` if the value of a parameter, a setting or the role is a field of the body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let settings = self.settings.iter().map(Setting::source).chain(self.role.iter().map(Role::source));
        self.params.iter().chain(settings).any(|source| source.place == Place::Body)
    }

    pub(crate) fn prepare(&self) -> Result<Vec<Statement>, QueryError> {
        if self.statements.is_empty() {
            return Err(QueryError("there is no statement".into()));
        }
        let have = self.params.len();
        let mut used = vec![false; have];
        let mut statements = Vec::with_capacity(self.statements.len());
        for text in &self.statements {
            if let Some(reason) = sql::refusal(text) {
                return Err(QueryError(reason));
            }
            if self.access == Access::Read
                && let Some(write) = sql::write(text)
            {
                return Err(QueryError(format!(
                    "{write} needs a query that may write, and this one is read-only: \
                     use POST, PUT, PATCH or DELETE, or allow it to write"
                )));
            }
            let (sql, numbers) = sql::renumber(text);
            for &number in &numbers {
                match number.checked_sub(1).and_then(|index| used.get_mut(index)) {
                    Some(used) => *used = true,
                    None => {
                        return Err(QueryError(format!("${number} is used, but params has {have} of them: {text}")));
                    }
                }
            }
            let uses = numbers.iter().map(|number| number - 1).collect();
            statements.push(Statement { sql: sql.into(), uses, types: Mutex::default() });
        }
        if have > 0
            && used.iter().all(|used| !used)
            && let Some(placeholder) = self.statements.iter().find_map(|text| sql::foreign_placeholder(text))
        {
            return Err(QueryError(format!("{placeholder} is not a parameter of PostgreSQL: write $1")));
        }
        if let Some(unused) = used.iter().position(|used| !used) {
            let name = self.params[unused].name();
            return Err(QueryError(format!("params has {name:?} as ${}, which no statement uses", unused + 1)));
        }
        Ok(statements)
    }
}

impl Statement {
    pub(crate) fn types(&self) -> Option<Arc<[Type]>> {
        self.remembered().clone()
    }

    pub(crate) fn remember(&self, types: &[Type]) -> Arc<[Type]> {
        self.remembered().insert(types.into()).clone()
    }

    pub(crate) fn forget_types(&self) {
        *self.remembered() = None;
    }

    fn remembered(&self) -> MutexGuard<'_, Option<Arc<[Type]>>> {
        self.types.lock()
    }
}

impl Isolation {
    /// As SQL has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

impl From<Isolation> for tokio_postgres::IsolationLevel {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::ReadCommitted => Self::ReadCommitted,
            Isolation::RepeatableRead => Self::RepeatableRead,
            Isolation::Serializable => Self::Serializable,
        }
    }
}

// === impl Source ===

impl Source {
    /// `"name"`: a path parameter, else a query parameter, of which several are an array.
    /// `"body.name"`: a field of the JSON body. `"header.name"`: a field of the head; several lines
    /// are one text with commas. `"claim.name"`: a claim of the verified
    /// [`Identity`](dunlin_http::Identity); a request without it is 403.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let place = match name.split_once('.') {
            Some(("body", _)) => Place::Body,
            Some(("header", _)) => Place::Header,
            Some(("claim", _)) => Place::Claim,
            _ => Place::Url,
        };
        Self { place, full: name.into(), default: None }
    }

    /// What it is when the request does not have it. Without a default that is 400.
    #[must_use]
    pub fn or(mut self, default: Param) -> Self {
        self.default = Some(default);
        self
    }

    /// Its name as declared.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.full
    }

    /// Its name in its place: without `body.`, for example.
    #[must_use]
    pub fn key(&self) -> &str {
        match self.place {
            Place::Url => &self.full,
            Place::Body | Place::Header | Place::Claim => self.full.split_once('.').map_or("", |(_, key)| key),
        }
    }

    /// Which part of the request holds it.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// What it is when the request does not have it.
    #[must_use]
    pub const fn default(&self) -> Option<&Param> {
        self.default.as_ref()
    }

    pub(crate) const fn shared_name(&self) -> &Arc<str> {
        &self.full
    }
}

impl QueryError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QueryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statements: &[&str], params: &[&str], expect: Result<&[&[usize]], &str>) {
        let query = Query {
            params: params.iter().map(|name| Source::named(name)).collect(),
            access: Access::Write,
            ..Query::new(statements.iter().copied())
        };
        let got = query.prepare().map(|all| all.into_iter().map(|one| one.uses).collect::<Vec<_>>());
        match (got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got, expect),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, expect) => panic!("{got:?}, not {expect:?}"),
        }
    }

    #[test]
    fn every_parameter_is_used_and_every_number_provided() {
        check(&["SELECT 1"], &[], Ok(&[&[]]));
        check(&["SELECT $1, $2"], &["a", "b"], Ok(&[&[0, 1]]));
        check(&["UPDATE a SET n = $3 WHERE id = $1", "SELECT $2"], &["a", "b", "c"], Ok(&[&[0, 2], &[1]]));
        check(&["SELECT $2"], &["a"], Err("$2 is used"));
        check(&["SELECT $0"], &["a"], Err("$0 is used"));
        check(&["SELECT $1"], &["a", "b"], Err("\"b\" as $2"));
        check(&[], &[], Err("no statement"));
    }
}
