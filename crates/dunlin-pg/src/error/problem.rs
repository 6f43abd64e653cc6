//! The problem documents that clients get.

use dunlin_http::Problem;
use http::header::ACCEPT;
use http::{HeaderValue, StatusCode};
use tokio_postgres::error::{DbError, SqlState};

use super::{Error, ErrorKind, state};

// === impl Error ===

impl Error {
    /// The problem document for the client: a status by [`ErrorKind`], and only what the client can
    /// mend. The cause belongs in a log.
    pub fn problem(&self) -> Problem {
        if let Some(error) = self.as_db_error().filter(|error| state::is_raised(error)) {
            return self.raised(error);
        }
        match self.kind() {
            ErrorKind::Input => self.input_problem(),
            ErrorKind::Conflict => {
                let foreign = self.as_db_error().map(DbError::code) == Some(&SqlState::FOREIGN_KEY_VIOLATION);
                let detail = if foreign || self.as_db_error().is_some_and(|error| error.code().code() == "23001") {
                    "a row that this refers to is missing, or one still refers to this"
                } else {
                    "a row like this exists already"
                };
                self.constrained(Problem::new(StatusCode::CONFLICT).detail(detail))
            }
            ErrorKind::Constraint => {
                let missing = self.as_db_error().map(DbError::code) == Some(&SqlState::NOT_NULL_VIOLATION);
                let detail = if missing { "a value is required" } else { "a value is not allowed" };
                self.constrained(Problem::new(StatusCode::UNPROCESSABLE_ENTITY).detail(detail))
            }
            ErrorKind::Missing => Problem::new(StatusCode::NOT_FOUND).detail("there is no such row"),
            ErrorKind::Forbidden => {
                if let Self::Identity { name, reason } = self {
                    return Problem::new(StatusCode::FORBIDDEN).detail(format!("{name}: {reason}"));
                }
                Problem::new(StatusCode::FORBIDDEN).detail("the database does not allow this request")
            }
            // The status was chosen without RAISE, so there is no text for the client.
            ErrorKind::Raised(status) => Problem::new(status),
            ErrorKind::Timeout => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT).detail("the database did not answer in time")
            }
            ErrorKind::Unavailable => Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .detail("the database cannot take this request now")
                .retry_after(1),
            ErrorKind::Internal => Problem::new(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn input_problem(&self) -> Problem {
        match self {
            Self::Parameter { name, reason } => Problem::new(StatusCode::BAD_REQUEST)
                .detail(format!("{name}: {reason}"))
                .with("parameter", name.as_ref()),
            // RFC 9110 §15.5.16: the media types that would do.
            Self::Body { status: status @ StatusCode::UNSUPPORTED_MEDIA_TYPE, reason } => Problem::new(*status)
                .detail(reason.as_ref())
                .header(ACCEPT, HeaderValue::from_static(crate::MEDIA_TYPES)),
            Self::Body { status, reason } => Problem::new(*status).detail(reason.as_ref()),
            Self::Value { reason, .. } => Problem::new(StatusCode::BAD_REQUEST).detail(*reason),
            _ => Problem::new(StatusCode::BAD_REQUEST).detail("a value is not valid"),
        }
    }

    /// The message, the detail and the hint of a RAISE, which are the application's own words.
    fn raised(&self, error: &DbError) -> Problem {
        let status = match self.kind() {
            ErrorKind::Raised(status) => status,
            ErrorKind::Input => StatusCode::BAD_REQUEST,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Constraint => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Missing => StatusCode::NOT_FOUND,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::BAD_REQUEST,
        };
        let mut problem = Problem::new(status).detail(error.message()).with("code", error.code().code());
        if let Some(detail) = error.detail() {
            problem = problem.with("details", detail);
        }
        if let Some(hint) = error.hint() {
            problem = problem.with("hint", hint);
        }
        let problem = self.constrained(problem);
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(1) } else { problem }
    }

    /// Adds the constraint, and the column if there is one, for programs.
    fn constrained(&self, mut problem: Problem) -> Problem {
        if let Some(error) = self.as_db_error() {
            if let Some(name) = error.constraint() {
                problem = problem.with("constraint", name);
            }
            if let Some(column) = error.column() {
                problem = problem.with("column", column);
            }
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_when_to_come_back_and_nothing_internal() {
        let response = Error::Unreachable("10.0.0.7: refused".into()).problem().into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        let body = String::from_utf8_lossy(response.body().as_bytes().unwrap_or_default()).into_owned();
        assert!(!body.contains("10.0.0.7"), "{body}");
    }
}
