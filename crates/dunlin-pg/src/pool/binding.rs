//! Parameters of a statement, and the errors that they cause.

use smallvec::SmallVec;
use tokio_postgres::types::Type;

use crate::declared::Declared;
use crate::error::{Error, is_about_a_name, is_about_a_value, reason};
use crate::param::{self, Bound, Param};
use crate::query::Statement;

/// The parameters of one statement, typed.
pub(super) type Binding = SmallVec<[Bound; 2]>;

/// Reads the parameters of one statement as values of these types.
pub(super) fn bind(
    query: &Declared,
    statement: &Statement,
    types: &[Type],
    params: &[Param],
) -> Result<Binding, Error> {
    let of = |(ty, &index): (&Type, &usize)| {
        param::bind(ty, params.get(index).unwrap_or(&Param::Null))
            .map_err(|error| Error::parameter(query.params[index].shared_name(), &error))
    };
    types.iter().zip(&statement.uses).map(of).collect()
}

/// Turns an error that a parameter caused into an error about that parameter.
///
/// An error about a value that names no parameter is the client's if the statement has parameters.
/// The client gets a reason then, but not PostgreSQL's text, which may contain a stored value.
pub(super) fn blame(error: Error, query: &Declared, statement: &Statement) -> Error {
    let Error::Database(database) = &error else { return error };
    let Some(reported) = database.as_db_error() else { return error };
    if let Some(index) = param::blamed(database)
        && let Some(source) = statement.uses.get(index).and_then(|&index| query.params.get(index))
    {
        // The text of an internal error is not for a client.
        let reason = if reported.code().code().starts_with("XX") { reason(reported) } else { reported.message() };
        return Error::Parameter { name: source.shared_name().clone(), reason: reason.into() };
    }
    if !statement.uses.is_empty() && (is_about_a_value(reported) || is_about_a_name(reported)) {
        return Error::Value { reason: reason(reported), cause: database.clone() };
    }
    error
}
