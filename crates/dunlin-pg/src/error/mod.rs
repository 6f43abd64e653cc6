//! What can go wrong, and what a client is told of it.

mod problem;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::query::Access;
use crate::{json, param};

pub(crate) use state::{is_about_a_name, is_about_a_value, is_lost_object, reason};

/// Why a query gave no answer. Cheap to clone, since one read may answer several requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A parameter that is missing, or no value of the type that the statement wants.
    Parameter {
        /// Its name as declared: `user_id`, `body.email`.
        name: Arc<str>,
        /// What is wrong with it, for the client.
        reason: Arc<str>,
    },
    /// A claim that the client's identity lacks, or a role that it may not have.
    Identity {
        /// The name of the source: `claim.sub`.
        name: Arc<str>,
        /// What is wrong with it, for the client.
        reason: Arc<str>,
    },
    /// The settings of a query's transaction could not be set. The declaration is wrong, or a role
    /// is missing.
    Settings(Arc<tokio_postgres::Error>),
    /// A value that the statement cannot work with, for example a regular expression that is none.
    /// The cause is PostgreSQL's own text, for a log.
    Value {
        /// What is wrong with it, for the client.
        reason: &'static str,
        /// The error that PostgreSQL reported.
        cause: Arc<tokio_postgres::Error>,
    },
    /// The request's body is no JSON object, or could not be read.
    Body {
        /// 400, 408, 413 or 415.
        status: StatusCode,
        /// What is wrong with it, for the client.
        reason: Arc<str>,
    },
    /// No connection came free in time: the budget is exhausted.
    Exhausted,
    /// The database cannot be reached, or the connection broke.
    Unreachable(Arc<str>),
    /// A wait of this side's own came to its end: the server did not answer in time.
    Timeout(Duration),
    /// What PostgreSQL answered, or what the client library made of it.
    Database(Arc<tokio_postgres::Error>),
    /// A row has a value that could not be written.
    Encode(Arc<json::Error>),
    /// What a write answers is more than so many bytes, which is as much as is held in memory. A
    /// transaction is rolled back; a statement by itself is cancelled, which may come too late to
    /// undo it.
    TooLarge(usize),
}

/// What an [`Error`] means to the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong: 400.
    Input,
    /// A unique, exclusion or foreign-key constraint does not allow it: 409.
    Conflict,
    /// A check or not-null constraint, or a view's, does not allow it: 422.
    Constraint,
    /// There is no such row: 404.
    Missing,
    /// The database role, or a policy for rows, does not allow it: 403.
    Forbidden,
    /// The database raised it for the client, with this status.
    Raised(StatusCode),
    /// The statement ran out of time: 504.
    Timeout,
    /// The database cannot take it now; later it can: 503 with `Retry-After`.
    Unavailable,
    /// Anything else is this side's fault: 500.
    Internal,
}

// === impl Error ===

impl Error {
    /// What it means to the one who asked.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Parameter { .. } | Self::Value { .. } | Self::Body { .. } => ErrorKind::Input,
            Self::Exhausted | Self::Unreachable(_) => ErrorKind::Unavailable,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Encode(_) | Self::TooLarge(_) | Self::Settings(_) => ErrorKind::Internal,
            Self::Identity { .. } => ErrorKind::Forbidden,
            Self::Database(error) => match error.as_db_error() {
                Some(error) => state::kind_of(error),
                None if error.is_closed() || is_io(error) => ErrorKind::Unavailable,
                None => ErrorKind::Internal,
            },
        }
    }

    /// What PostgreSQL itself said, when it was PostgreSQL.
    #[must_use]
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) | Self::Settings(error) | Self::Value { cause: error, .. } => error.as_db_error(),
            _ => None,
        }
    }

    /// The place of the error in the statement, counted in characters from one, if PostgreSQL gave
    /// it.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        match self.as_db_error()?.position()? {
            tokio_postgres::error::ErrorPosition::Original(at) => Some(*at),
            tokio_postgres::error::ErrorPosition::Internal { .. } => None,
        }
    }

    /// Whether a transaction that failed so may succeed when it is run again: serialization failure
    /// or deadlock.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let code = self.as_db_error().map(DbError::code);
        code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Whether the connection was lost, so that a read may be asked again on another.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Database(error) => match error.as_db_error() {
                // An administrator's command or a crash ends the session, and so does a pooler
                // whose server is gone; a cancelled statement does not.
                Some(error) => matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
                None => error.is_closed() || is_io(error),
            },
            _ => false,
        }
    }

    /// Returns `true` if the prepared statement has to be prepared again: its result changed type,
    /// what its parameters were taken for no longer fits, or it is gone. Nothing was done then, or
    /// it was undone.
    pub(crate) fn is_stale_plan(&self) -> bool {
        let Self::Database(database) = self else { return false };
        param::blamed(database).is_none()
            && database
                .as_db_error()
                .is_some_and(|error| self.is_statement_of_another_session() || state::is_stale(error))
    }

    /// Returns `true` if a value may name something that does not exist. A statement that was
    /// prepared before a migration may fail in the same way, so it is prepared anew once.
    pub(crate) fn is_about_a_name(&self) -> bool {
        let Self::Database(database) = self else { return false };
        param::blamed(database).is_none() && database.as_db_error().is_some_and(is_about_a_name)
    }

    /// Whether the session is not the one that a statement was prepared in, or another one's
    /// statement has its name: a pooler stands between.
    pub(crate) fn is_statement_of_another_session(&self) -> bool {
        let code = self.as_db_error().map(DbError::code);
        code == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) || code == Some(&SqlState::DUPLICATE_PSTATEMENT)
    }

    /// Whether the rows are not what the description says: a type that they are made of has
    /// changed, of which the server gives no word.
    pub(crate) fn is_stale_description(&self) -> bool {
        matches!(self, Self::Encode(error) if !matches!(**error, json::Error::Unsupported { .. }))
    }

    /// Whether the server can only read, where a write was wanted, or a transaction that may write:
    /// it is a standby.
    pub(crate) fn is_read_only_server(&self) -> bool {
        self.as_db_error().is_some_and(|error| {
            *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
                || (*error.code() == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("call_bool_check_hook"))
        })
    }

    /// What it is to one who wanted to write, or to read: a server that only reads is the wrong one
    /// for a write, and the right one will be there again; a read that writes is declared wrongly.
    pub(crate) fn for_access(self, access: Access) -> Self {
        if access == Access::Write && self.is_read_only_server() {
            return Self::Unreachable("the server is a standby, which cannot be written to".into());
        }
        self
    }

    /// An error of the statement that sets the settings. The client has no part in it, unless the
    /// connection was lost or the time is over.
    pub(crate) fn settings(error: tokio_postgres::Error) -> Self {
        let error = Self::from(error);
        match (error.kind(), error) {
            (ErrorKind::Internal | ErrorKind::Forbidden | ErrorKind::Raised(_), Self::Database(error)) => {
                Self::Settings(error)
            }
            (_, error) => error,
        }
    }

    pub(crate) fn parameter(name: &Arc<str>, error: &param::Error) -> Self {
        Self::Parameter { name: name.clone(), reason: error.to_string().into() }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::Encode(Arc::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { name, reason } | Self::Identity { name, reason } => write!(f, "{name}: {reason}"),
            Self::Settings(error) => write!(f, "the settings of the transaction: {}", one_line(error)),
            Self::Value { reason, cause } => write!(f, "{reason}: {}", one_line(cause)),
            Self::Body { reason, .. } => write!(f, "the body: {reason}"),
            Self::Exhausted => f.write_str("no connection to the database came free in time"),
            Self::Unreachable(reason) => write!(f, "the database cannot be reached: {reason}"),
            Self::Timeout(limit) => write!(f, "the database did not answer within {limit:?}"),
            Self::Database(error) => match error.as_db_error() {
                Some(error) => write_db(f, error),
                None => write_chain(f, &**error),
            },
            Self::Encode(error) => write!(f, "a row could not be written: {error}"),
            Self::TooLarge(most) => write!(f, "the answer of a write is more than {most} bytes: return fewer rows"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) | Self::Settings(error) | Self::Value { cause: error, .. } => Some(&**error),
            Self::Encode(error) => Some(&**error),
            _ => None,
        }
    }
}

/// PostgreSQL's message with its detail, hint and place, as psql shows them but on one line.
fn write_db(f: &mut fmt::Formatter<'_>, error: &DbError) -> fmt::Result {
    write!(f, "{} ({})", error.message(), error.code().code())?;
    if let Some(tokio_postgres::error::ErrorPosition::Original(at)) = error.position() {
        write!(f, " at character {at}")?;
    }
    if let Some(detail) = error.detail() {
        write!(f, ": {detail}")?;
    }
    if let Some(hint) = error.hint() {
        write!(f, "; hint: {hint}")?;
    }
    Ok(())
}

fn write_chain(f: &mut fmt::Formatter<'_>, error: &dyn std::error::Error) -> fmt::Result {
    write!(f, "{error}")?;
    // The library's own text already carries the first cause for some kinds; say none twice.
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            write!(f, ": {text}")?;
            said = text;
        }
        cause = error.source();
    }
    Ok(())
}

pub(crate) fn one_line(error: &tokio_postgres::Error) -> String {
    struct Line<'a>(&'a tokio_postgres::Error);
    impl fmt::Display for Line<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0.as_db_error() {
                Some(error) => write_db(f, error),
                None => write_chain(f, self.0),
            }
        }
    }
    Line(error).to_string()
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}
