//! SQLSTATEs (PostgreSQL, appendix A) and their meaning for the client.

use http::StatusCode;
use tokio_postgres::error::{DbError, SqlState};

use super::ErrorKind;
use crate::param::is_lost_object;

/// The meaning of an error that PostgreSQL reports.
///
/// An error of class 22 is the client's only if a parameter caused it; see [`is_about_a_value`].
pub(super) fn kind_of(error: &DbError) -> ErrorKind {
    if let Some(status) = chosen_status(error.code()) {
        return ErrorKind::Raised(status);
    }
    let kind = kind_of_state(error.code());
    match kind {
        // RAISE is for the client, if its SQLSTATE has no other meaning.
        ErrorKind::Internal if is_raised(error) => ErrorKind::Raised(StatusCode::BAD_REQUEST),
        kind => kind,
    }
}

/// Returns `true` if RAISE in PL/pgSQL made the error, so that its text is the application's own.
pub(super) fn is_raised(error: &DbError) -> bool {
    error.routine() == Some("exec_stmt_raise")
}

/// The status of `RAISE … USING ERRCODE = 'PT404'`, as in PostgREST.
fn chosen_status(state: &SqlState) -> Option<StatusCode> {
    let status: u16 = state.code().strip_prefix("PT")?.parse().ok()?;
    (400..600).contains(&status).then(|| StatusCode::from_u16(status).ok()).flatten()
}

fn kind_of_state(state: &SqlState) -> ErrorKind {
    match state.code() {
        // unique_violation, exclusion_violation, foreign_key_violation, restrict_violation
        "23505" | "23P01" | "23503" | "23001" => ErrorKind::Conflict,
        // check_violation, not_null_violation, with_check_option_violation
        "23514" | "23502" | "44000" => ErrorKind::Constraint,
        // no_data_found, for example of SELECT INTO STRICT
        "P0002" => ErrorKind::Missing,
        // insufficient_privilege: a missing privilege or a row-level policy
        "42501" => ErrorKind::Forbidden,
        "57014" => ErrorKind::Timeout,
        // Serialization failures and deadlocks after the last retry, and NOWAIT.
        "40001" | "40P01" | "55P03" | "25P03" => ErrorKind::Unavailable,
        "57P01" | "57P02" | "57P03" | "57P05" => ErrorKind::Unavailable,
        code if code.starts_with("08") || code.starts_with("53") => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

/// Returns `true` if the error is about a value, so that a parameter may be the cause. That is
/// class 22, and the syntax errors of languages within values, such as `tsquery` and `jsonpath`.
pub(crate) fn is_about_a_value(error: &DbError) -> bool {
    const LANGUAGES: [&str; 8] = [
        "tsquery.c",
        "tsvector_parser.c",
        "jsonpath_scan.l",
        "jsonpath_gram.y",
        "jsonpath.c",
        "ltree_io.c",
        "ltxtquery_io.c",
        "_int_bool.c",
    ];
    let code = error.code().code();
    code.starts_with("22")
        || is_too_complex(error)
        || (code == "42601" && error.file().is_some_and(|file| LANGUAGES.contains(&file)))
}

/// Returns `true` if a value is nested too deeply or has too many parts. Within a function, which
/// the context shows, the function may be the cause.
fn is_too_complex(error: &DbError) -> bool {
    matches!(error.code().code(), "54000" | "54001") && error.where_().is_none()
}

/// Returns `true` if the error may be about a name in a value, such as the name of a table that the
/// statement casts to `regclass`.
///
/// After a migration, the analysis of a prepared statement reports the same SQLSTATEs, but with a
/// position. An error within a function has a context.
pub(crate) fn is_about_a_name(error: &DbError) -> bool {
    // undefined_object, undefined_table, undefined_function, undefined_column, ambiguous_function,
    // invalid_name, name_too_long, wrong_object_type, syntax_error, invalid_schema_name
    const NAMES: [&str; 10] =
        ["42704", "42P01", "42883", "42703", "42725", "42602", "42622", "42809", "42601", "3F000"];
    // Where PostgreSQL looks up the names of relations, types, functions, roles and the like. The
    // same SQLSTATEs have other causes elsewhere, such as an unknown setting (guc.c).
    const FILES: [&str; 12] = [
        "namespace.c",
        "regproc.c",
        "parse_type.c",
        "acl.c",
        "dbcommands.c",
        "tablespace.c",
        "proclang.c",
        "foreign.c",
        "ruleutils.c",
        "varlena.c",
        "sequence.c",
        "scan.l",
    ];
    let is_free = match error.where_() {
        None => error.position().is_none(),
        Some(context) => context.starts_with("invalid type name") && context.lines().count() == 1,
    };
    is_free && NAMES.contains(&error.code().code()) && error.file().is_some_and(|file| FILES.contains(&file))
}

/// Returns `true` if a prepared statement no longer fits the database.
pub(super) fn is_stale(error: &DbError) -> bool {
    const OTHER_TYPES: [SqlState; 4] = [
        SqlState::UNDEFINED_FUNCTION,
        SqlState::DATATYPE_MISMATCH,
        SqlState::CANNOT_COERCE,
        SqlState::UNDEFINED_OBJECT,
    ];
    // The analysis reports a position, and the cache of types an OID that is gone.
    let by_analysis = error.where_().is_none()
        && OTHER_TYPES.contains(error.code())
        && (error.position().is_some() || error.file() == Some("typcache.c"));
    let by_result = *error.code() == SqlState::FEATURE_NOT_SUPPORTED
        && (error.routine() == Some("RevalidateCachedQuery")
            || error.message().contains("cached plan must not change result type"));
    by_analysis || by_result || is_lost_object(error)
}

/// The reason of an error about a value. It has nothing of the database in it, because PostgreSQL's
/// own text may contain a stored value.
pub(crate) fn reason(error: &DbError) -> &'static str {
    match error.code().code() {
        "2201B" => "a value is not a valid regular expression",
        "22025" | "22019" | "2200D" | "2200C" => "a value has an escape that a pattern cannot have",
        "22012" => "a value leads to a division by zero",
        "2201E" | "2201F" | "2201G" => "a value is outside of a function's domain",
        "2201W" | "2201X" => "a limit or an offset must not be negative",
        "22003" | "22008" => "a value is out of range",
        "22001" => "a value is too long",
        "54000" | "54001" => "a value is too complex",
        "42704" | "42P01" | "42883" | "42703" | "3F000" => "a value names something that does not exist",
        "42725" | "42602" | "42622" | "42809" => "a value is not a valid name",
        "42601" => "a value has a syntax error",
        _ => "a value is not valid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_mean_statuses() {
        for (code, kind) in [
            ("23505", ErrorKind::Conflict),
            ("23503", ErrorKind::Conflict),
            ("23001", ErrorKind::Conflict),
            ("23514", ErrorKind::Constraint),
            ("23502", ErrorKind::Constraint),
            ("44000", ErrorKind::Constraint),
            ("P0002", ErrorKind::Missing),
            ("42501", ErrorKind::Forbidden),
            ("57014", ErrorKind::Timeout),
            ("57P01", ErrorKind::Unavailable),
            ("53300", ErrorKind::Unavailable),
            ("08006", ErrorKind::Unavailable),
            ("40001", ErrorKind::Unavailable),
            ("22012", ErrorKind::Internal),
            ("42P01", ErrorKind::Internal),
            ("P0001", ErrorKind::Internal),
        ] {
            assert_eq!(kind_of_state(&SqlState::from_code(code)), kind, "{code}");
        }
    }

    #[test]
    fn a_raise_may_choose_its_status() {
        let status = |code| chosen_status(&SqlState::from_code(code)).map(|status| status.as_u16());
        assert_eq!(
            [status("PT404"), status("PT599"), status("PT200"), status("PT4x4"), status("P0001")],
            [Some(404), Some(599), None, None, None]
        );
    }
}
