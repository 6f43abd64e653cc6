//! [`Description`]: the types of declared queries, from the database.

use std::sync::Arc;

use tokio_postgres::types::{Format, Type};
use tokio_postgres::{Client, Column};

use crate::config::Pooler;
use crate::database::Database;
use crate::declared::Declared;
use crate::error::Error;
use crate::json;
use crate::param::{self, type_name};
use crate::query::{Access, Location, MediaTypeSource, Settings, Source};
use crate::sql;

/// The types of a declared query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The type of each parameter, by the first statement that uses it.
    pub params: Vec<String>,
    /// The name and type of each column of the last statement. It is empty if that returns no rows.
    pub columns: Vec<(String, String)>,
    /// The same types of the parameters; `None` for one that no statement uses.
    pub param_types: Vec<Option<Type>>,
    /// The same types of the columns.
    pub column_types: Vec<Type>,
    /// `true` for each column that is never NULL, as far as its table tells.
    pub not_null: Vec<bool>,
}

// === impl Database ===

impl Database {
    /// Asks the database about declared queries, without running them. It prepares each statement,
    /// and checks the columns, the defaults of parameters, and the settings.
    ///
    /// # Errors
    /// No connection. The error of a query is in its place in the list.
    pub async fn describe(&self, queries: &[Arc<Declared>]) -> Result<Vec<Result<Description, Error>>, Error> {
        all(self, queries).await
    }
}

async fn all(database: &Database, queries: &[Arc<Declared>]) -> Result<Vec<Result<Description, Error>>, Error> {
    // The connections are those that the queries would use: a replica's tables may be older.
    let (mut reads, mut writes) = (None, None);
    let mut answers = Vec::with_capacity(queries.len());
    let limit = database.0.config.statement_timeout;
    let is_pooled = database.0.config.pooler == Pooler::Transaction;
    let functions = &database.0.functions;
    for query in queries {
        let place = if query.access == Access::Read { &mut reads } else { &mut writes };
        let connection = match place {
            Some(connection) => connection,
            None => place.insert(database.connector(query.access).open_extra().await?),
        };
        if functions.is_any_volatile(&query.effects.calls).is_none() && !is_pooled {
            tokio::time::timeout(limit, functions.look_up(&connection.client))
                .await
                .map_err(|_| Error::Timeout(limit))??;
        }
        let answer = tokio::time::timeout(limit, one(query, &connection.client, is_pooled)).await;
        if is_pooled {
            // The session of the next transaction may not have the client library's own statements.
            *place = None;
        }
        match answer.unwrap_or(Err(Error::Timeout(limit))) {
            Err(error) if error.is_lost() => return Err(error),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

async fn one(query: &Declared, client: &Client, is_pooled: bool) -> Result<Description, Error> {
    // A pooler keeps one session for a transaction, so that a named statement is safe in it. None
    // may remain there afterwards. An earlier client may have left some.
    let begin = if is_pooled { "BEGIN; DEALLOCATE ALL; SAVEPOINT described" } else { "BEGIN; SAVEPOINT described" };
    client.batch_execute(begin).await?;
    let description = prepare(query, client).await;
    let end = "ROLLBACK TO SAVEPOINT described; DEALLOCATE ALL; ROLLBACK";
    client.batch_execute(if is_pooled { end } else { "ROLLBACK" }).await?;
    description
}

async fn prepare(query: &Declared, client: &Client) -> Result<Description, Error> {
    let count = query.params.len();
    let mut description =
        Description { params: vec![String::new(); count], param_types: vec![None; count], ..Description::default() };
    if let Some(settings) = &query.settings {
        check_settings(settings, client).await?;
    }
    let Some(last) = query.statements().last() else { return Ok(description) };
    for statement in query.statements() {
        let prepared = client.prepare(&statement.sql).await?;
        for (ty, &index) in prepared.params().iter().zip(&statement.uses) {
            check_default(&query.params[index], ty, client).await?;
            if description.params[index].is_empty() {
                description.params[index] = type_name(ty).into_owned();
                description.param_types[index] = Some(ty.clone());
            }
        }
        let columns = json::Column::all(prepared.columns())?;
        if std::ptr::eq(statement, last) {
            json::Column::distinct(&columns)?;
            check_answer(query, prepared.columns())?;
        }
        description.columns = prepared
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), type_name(column.type_()).into_owned()))
            .collect();
        if std::ptr::eq(statement, last) {
            let columns = prepared.columns();
            description.column_types = columns.iter().map(|column| column.type_().clone()).collect();
            description.not_null = not_null(&statement.sql, columns, client).await?;
        }
    }
    Ok(description)
}

/// Checks that the columns that the form of the answer names exist, and have the types for it.
fn check_answer(query: &Declared, columns: &[Column]) -> Result<(), Error> {
    let type_of = |name: &str| {
        let column = columns.iter().find(|column| column.name() == name);
        let known = || columns.iter().map(|column| column.name().to_owned()).collect::<Vec<_>>().join(", ").into();
        column.map(Column::type_).ok_or_else(|| json::Error::Missing { column: name.into(), known: known() })
    };
    let is_text = |ty: &Type| matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::XML | Type::JSON);
    let check = |name: &str, is_right: &dyn Fn(&Type) -> bool, expected: &'static str| match type_of(name)? {
        ty if is_right(ty) => Ok(()),
        ty => {
            let (column, type_name) = (name.into(), type_name(ty).into());
            Err(json::Error::Type { column, type_name, expected })
        }
    };
    for name in query.location.iter().flat_map(Location::columns) {
        type_of(name)?;
    }
    if let Some(raw) = &query.raw {
        check(&raw.body, &|ty| *ty == Type::BYTEA || is_text(ty), "bytea or text")?;
        if let MediaTypeSource::Column(name) = &raw.media_type {
            check(name, &is_text, "text")?;
        }
    }
    Ok(())
}

/// The columns that are never NULL: those of a table that says so. An outer join, a union or a
/// grouping set may make any of them NULL.
async fn not_null(sql: &str, columns: &[Column], client: &Client) -> Result<Vec<bool>, Error> {
    let origins: Vec<Option<(u32, i16)>> =
        columns.iter().map(|column| column.table_oid().zip(column.column_id())).collect();
    if origins.iter().all(Option::is_none) || sql::may_add_nulls(sql) {
        return Ok(vec![false; columns.len()]);
    }
    let tables: Vec<u32> = origins.iter().flatten().map(|(table, _)| *table).collect();
    let rows = client
        .query_typed(
            "SELECT attrelid, attnum FROM pg_catalog.pg_attribute WHERE attnotnull AND attrelid = ANY ($1)",
            &[(&tables, Type::OID_ARRAY)],
        )
        .await?;
    let known: Vec<(u32, i16)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(origins.iter().map(|origin| origin.is_some_and(|origin| known.contains(&origin))).collect())
}

/// Checks that the settings can be set, with each role.
async fn check_settings(settings: &Settings, client: &Client) -> Result<(), Error> {
    for role in settings.allowed.iter().flatten() {
        let mut values = vec![String::new(); settings.sources().len() - 1];
        values.push(role.to_string());
        settings.set(client, &values.into()).await?;
        client.batch_execute("SET LOCAL ROLE NONE").await?;
    }
    if settings.allowed.is_none() {
        settings.set(client, &vec![String::new(); settings.sources().len()].into()).await?;
    }
    Ok(())
}

/// Checks that the default of a parameter is a value of its type. PostgreSQL reads a value that is
/// sent as text.
async fn check_default(source: &Source, ty: &Type, client: &Client) -> Result<(), Error> {
    let Some(default) = source.default() else { return Ok(()) };
    let wrong = |reason: String| Error::Parameter {
        name: source.shared_name().clone(),
        reason: format!("its default is not valid: {reason}").into(),
    };
    let bound = param::bind(ty, default).map_err(|error| wrong(error.to_string()))?;
    if matches!(bound.format(), Format::Binary) {
        return Ok(());
    }
    match client.query_typed("SELECT $1 IS NULL", &[(&bound, ty.clone())]).await {
        Ok(_) => Ok(()),
        Err(error) => match (param::blamed(&error), error.as_db_error()) {
            (Some(_), Some(reported)) => Err(wrong(reported.message().to_owned())),
            _ => Err(error.into()),
        },
    }
}
