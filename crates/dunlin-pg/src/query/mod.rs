//! [`Query`]: a declared query.

mod error;
mod location;
mod page;
mod raw;
mod settings;
mod source;
mod statement;

use http::StatusCode;

use crate::sql::{self, Effects};

pub use self::error::QueryError;
pub use self::location::Location;
pub use self::page::Page;
pub use self::raw::{MediaTypeSource, Raw};
pub use self::settings::{Role, Setting};
pub use self::source::{Place, Source};

pub(crate) use self::page::{LIMIT, OFFSET};
pub(crate) use self::settings::{SettingValues, Settings};
pub(crate) use self::statement::Statement;

/// A declared query: SQL, the sources of its parameters, and the form of its answer.
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
    /// The name in logs, for example the path of the route.
    pub name: String,
    /// The statements, in order. The last one answers. Several are one transaction. `$n` means
    /// `params[n - 1]` in each of them, and no statement has to use all of them.
    pub statements: Vec<String>,
    /// The sources of `$1`, `$2`, ….
    pub params: Vec<Source>,
    /// The number of rows of the answer.
    pub rows: Rows,
    /// The right to write. The session of a read is read-only.
    pub access: Access,
    /// The isolation level of the transaction. With `None` it is the database's default, and a
    /// single statement needs no transaction around it.
    pub isolation: Option<Isolation>,
    /// The status of a successful answer.
    pub status: StatusCode,
    /// `true` if identical reads in flight are collapsed into one. A request is never answered by a
    /// read that was sent before it came, so that its answer is never too old.
    pub share: bool,
    /// The formats besides JSON that a client may choose with `Accept`.
    pub formats: Formats,
    /// The settings of the transaction, for policies of row-level security. A query with settings
    /// has a dedicated connection.
    pub settings: Vec<Setting>,
    /// The role of the transaction.
    pub role: Option<Role>,
    /// The URL of the row, for the `Location` of the answer. It is for [`Rows::One`].
    pub location: Option<Location>,
    /// The pages of the list. They are for a single read of [`Rows::Many`].
    pub page: Option<Page>,
    /// The column that is the body of the answer. It is for [`Rows::One`].
    pub raw: Option<Raw>,
}

/// The number of rows of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rows {
    /// One object: the first row. Without a row the answer is 404.
    One,
    /// An array.
    #[default]
    Many,
}

/// The right of a query to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// A read. It may be collapsed with others, retried, and sent to a replica.
    #[default]
    Read,
    /// A write. It runs once, on the primary. Only serialization failures and deadlocks are
    /// retried.
    Write,
}

/// The isolation level of a transaction (PostgreSQL §13.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees the state that was committed before it began.
    ReadCommitted,
    /// All statements see the state that was committed before the first one.
    RepeatableRead,
    /// The transactions behave as if they ran one after the other.
    Serializable,
}

/// The formats of an answer with many rows, besides JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// `text/csv` (RFC 4180).
    pub csv: bool,
    /// `application/x-ndjson`: one object per line.
    pub ndjson: bool,
}

// === impl Query ===

impl Query {
    /// Makes a read of many rows without parameters. Set other fields with struct update syntax.
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
            location: None,
            page: None,
            raw: None,
        }
    }

    /// Checks the statements and the parameters, as far as that is possible without the database.
    ///
    /// # Errors
    /// No statement, a `$n` without a parameter, a parameter that no statement uses, a statement
    /// that a query cannot have, a setting that clients cannot set, or a form of the answer that
    /// its rows cannot have.
    pub fn validate(&self) -> Result<(), QueryError> {
        self.prepare().map(drop)?;
        self.check_answer()?;
        Settings::new(&self.settings, self.role.as_ref()).map(drop)
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
        self.params.iter().chain(settings).any(|source| source.place() == Place::Body)
    }

    /// Checks that the form of the answer goes with its rows.
    fn check_answer(&self) -> Result<(), QueryError> {
        if self.rows == Rows::Many && (self.location.is_some() || self.raw.is_some()) {
            return Err(QueryError::new("a location or a raw body is for a query of one row"));
        }
        if self.location.is_some() && self.access == Access::Read {
            return Err(QueryError::new("a location is for a query that may write"));
        }
        if self.location.is_some() && self.raw.is_some() {
            return Err(QueryError::new("an answer has either a location or a raw body"));
        }
        let Some(page) = self.page else { return Ok(()) };
        if self.rows == Rows::One || self.access == Access::Write || self.statements.len() != 1 {
            return Err(QueryError::new("pages are for a read of many rows with one statement"));
        }
        page.validate(&self.params)
    }

    /// The query of one page and the query of the number of all rows, if it has pages.
    pub(crate) fn paged(&self) -> Option<(Self, Self)> {
        let page = self.page?;
        let sql = self.statements.last()?;
        let (mut one, mut count) = (self.clone(), self.clone());
        one.statements = vec![page.sql(sql, self.params.len() + 1)];
        one.params.push(Source::named(LIMIT).or(page.size.into()));
        one.params.push(Source::named(OFFSET).or(0.into()));
        count.statements = vec![Page::count_sql(sql)];
        (count.page, count.rows) = (None, Rows::One);
        Some((one, count))
    }

    pub(crate) fn prepare(&self) -> Result<Vec<Statement>, QueryError> {
        if self.statements.is_empty() {
            return Err(QueryError::new("there is no statement"));
        }
        let have = self.params.len();
        let mut used = vec![false; have];
        let mut statements = Vec::with_capacity(self.statements.len());
        for text in &self.statements {
            if let Some(reason) = sql::refusal(text) {
                return Err(QueryError::new(reason));
            }
            if self.access == Access::Read
                && let Some(write) = sql::write(text)
            {
                return Err(QueryError::new(format!(
                    "{write} needs a query that may write, and this one is read-only: \
                     use POST, PUT, PATCH or DELETE, or allow it to write"
                )));
            }
            let (sql, numbers) = sql::renumber(text);
            for &number in &numbers {
                match number.checked_sub(1).and_then(|index| used.get_mut(index)) {
                    Some(used) => *used = true,
                    None => {
                        return Err(QueryError::new(format!(
                            "${number} is used, but params has {have} of them: {text}"
                        )));
                    }
                }
            }
            let uses = numbers.iter().map(|number| number - 1).collect();
            statements.push(Statement::new(sql, uses));
        }
        if have > 0
            && used.iter().all(|used| !used)
            && let Some(placeholder) = self.statements.iter().find_map(|text| sql::foreign_placeholder(text))
        {
            return Err(QueryError::new(format!("{placeholder} is not a parameter of PostgreSQL: write $1")));
        }
        if let Some(unused) = used.iter().position(|used| !used) {
            let name = self.params[unused].name();
            return Err(QueryError::new(format!("params has {name:?} as ${}, which no statement uses", unused + 1)));
        }
        Ok(statements)
    }
}

// === impl Isolation ===

impl Isolation {
    /// The level in SQL.
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
