//! [`Error`]: the reason why a query has no answer.

mod problem;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::{json, param};

pub(crate) use state::{is_about_a_name, is_about_a_value, reason};

/// The reason why a query has no answer. It is cheap to clone, because one read may answer several
/// requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A parameter that is missing or not a value of the statement's type.
    Parameter {
        /// The name as declared: `user_id`, `body.email`.
        name: Arc<str>,
        /// The reason, for the client.
        reason: Arc<str>,
    },
    /// A claim that the client's identity lacks, or a role that it may not have.
    Identity {
        /// The name of the source: `claim.sub`.
        name: Arc<str>,
        /// The reason, for the client.
        reason: Arc<str>,
    },
    /// The settings of the transaction could not be set: the declaration is wrong, or a role is
    /// missing.
    Settings(Arc<tokio_postgres::Error>),
    /// A value that the statement cannot work with, for example an invalid regular expression.
    Value {
        /// The reason, for the client.
        reason: &'static str,
        /// The error that PostgreSQL reported, for a log.
        cause: Arc<tokio_postgres::Error>,
    },
    /// A request body that is not what its media type says, or that could not be read.
    Body {
        /// 400, 408, 413 or 415.
        status: StatusCode,
        /// The reason, for the client.
        reason: Arc<str>,
    },
    /// No connection became free in time: the budget is exhausted.
    Exhausted,
    /// The database cannot be reached, or the connection was lost.
    Unreachable(Arc<str>),
    /// The server did not answer within this time.
    Timeout(Duration),
    /// An error that PostgreSQL or the client library reported.
    Database(Arc<tokio_postgres::Error>),
    /// A row has a value that cannot be written.
    Encode(Arc<json::Error>),
    /// The answer of a write is larger than this limit in bytes. A transaction is rolled back. A
    /// single statement is cancelled, which may be too late to undo it.
    TooLarge(usize),
}

/// The meaning of an [`Error`] for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is not valid: 400.
    Input,
    /// A unique, exclusion or foreign-key constraint does not allow it: 409.
    Conflict,
    /// A check constraint, a not-null constraint or a view's check option does not allow it: 422.
    Constraint,
    /// There is no such row: 404.
    Missing,
    /// The database role or a row-level policy does not allow it: 403.
    Forbidden,
    /// The database chose this status for the client.
    Raised(StatusCode),
    /// The statement took too long: 504.
    Timeout,
    /// The database cannot take the request now: 503 with `Retry-After`.
    Unavailable,
    /// Any other error, which is not the client's fault: 500.
    Internal,
}

// === impl Error ===

impl Error {
    /// The meaning for the client.
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

    /// The error that PostgreSQL reported, if it did.
    #[must_use]
    pub fn as_db_error(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) | Self::Settings(error) | Self::Value { cause: error, .. } => error.as_db_error(),
            _ => None,
        }
    }

    /// The position of the error in the statement, in characters from 1, if PostgreSQL reported
    /// one.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        match self.as_db_error()?.position()? {
            tokio_postgres::error::ErrorPosition::Original(at) => Some(*at),
            tokio_postgres::error::ErrorPosition::Internal { .. } => None,
        }
    }

    /// Returns `true` after a serialization failure or a deadlock: the transaction may succeed when
    /// it is run again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let code = self.as_db_error().map(DbError::code);
        code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
    }

    /// Returns `true` if the connection was lost, so that a read may be sent again on another one.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Database(error) => match error.as_db_error() {
                // A command of an administrator, a crash, and a pooler without a server end the
                // session. A cancellation does not.
                Some(error) => matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
                None => error.is_closed() || is_io(error),
            },
            _ => false,
        }
    }

    /// Returns `true` if the statement has to be prepared again: its result or its parameters have
    /// other types, or it is gone. The error came before the statement did anything, or it undid
    /// it.
    pub(crate) fn is_stale_plan(&self) -> bool {
        let Self::Database(database) = self else { return false };
        param::blamed(database).is_none()
            && database
                .as_db_error()
                .is_some_and(|error| self.is_statement_of_another_session() || state::is_stale(error))
    }

    /// Returns `true` if a value may name something that does not exist. A stale plan may fail in
    /// the same way, so the statement is prepared again once.
    pub(crate) fn is_about_a_name(&self) -> bool {
        let Self::Database(database) = self else { return false };
        param::blamed(database).is_none() && database.as_db_error().is_some_and(is_about_a_name)
    }

    /// Returns `true` if the statement was prepared in another session, or if another one has its
    /// name. That happens behind a pooler.
    pub(crate) fn is_statement_of_another_session(&self) -> bool {
        let code = self.as_db_error().map(DbError::code);
        code == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) || code == Some(&SqlState::DUPLICATE_PSTATEMENT)
    }

    /// Returns `true` if the rows do not match their description. The server does not report that a
    /// part of a type has changed.
    pub(crate) fn is_stale_description(&self) -> bool {
        matches!(self, Self::Encode(error) if !matches!(**error, json::Error::Unsupported { .. }))
    }

    /// Returns `true` if the server is a standby, and the statement or the transaction may write.
    pub(crate) fn is_read_only_server(&self) -> bool {
        self.as_db_error().is_some_and(|error| {
            *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
                || (*error.code() == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("call_bool_check_hook"))
        })
    }

    /// Turns the error of a standby into one of the connection, for a query that writes: the
    /// primary will be back. For a read the same error means that its declaration is wrong.
    pub(crate) fn of_write(self) -> Self {
        if self.is_read_only_server() {
            return Self::Unreachable("the server is a standby, which cannot be written to".into());
        }
        self
    }

    /// An error of the statement that sets the settings. It is not the client's fault, unless the
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
        if matches!(error, param::Error::MediaType { .. }) {
            let reason = format!("{name}: {error}").into();
            return Self::Body { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, reason };
        }
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
            Self::TooLarge(limit) => write!(f, "the answer of a write is more than {limit} bytes: return fewer rows"),
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

/// Writes PostgreSQL's message with its detail, hint and position, on one line.
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
    // The library's text already contains the first cause for some kinds of errors.
    let mut shown = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !shown.contains(&text) {
            write!(f, ": {text}")?;
            shown = text;
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
