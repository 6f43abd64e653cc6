//! What the database says of declared queries, before any is run.

use std::sync::Arc;

use crate::config::Pooler;
use crate::database::{Database, Declared};
use crate::error::Error;
use crate::json::Column;
use crate::param::type_name;

/// What PostgreSQL says of a query's statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The type of each of the query's parameters, as the first statement that uses it has it.
    pub params: Vec<String>,
    /// Name and type of each column of the last statement; empty when it answers no rows.
    pub columns: Vec<(String, String)>,
}

pub(crate) async fn all(
    database: &Database,
    queries: &[Arc<Declared>],
) -> Result<Vec<Result<Description, Error>>, Error> {
    let mut answers = Vec::with_capacity(queries.len());
    for query in queries {
        // By the connection it would use: a replica may be behind in its tables.
        let (client, connection) = database.connector(query.access).open_raw().await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        let limit = database.0.config.statement_timeout;
        let answer = tokio::time::timeout(limit, one(database, query, &client)).await;
        driver.abort();
        match answer.unwrap_or(Err(Error::Timeout(limit))) {
            Err(error) if error.is_lost() => return Err(error),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

async fn one(database: &Database, query: &Declared, client: &tokio_postgres::Client) -> Result<Description, Error> {
    if database.0.config.pooler == Pooler::Transaction {
        // A pooler keeps one server for the whole transaction, so a named statement is safe in it.
        client.batch_execute("BEGIN").await?;
    }
    let mut description = Description { params: vec![String::new(); query.params.len()], columns: Vec::new() };
    for statement in query.statements() {
        let prepared = client.prepare(&statement.sql).await?;
        for (ty, &index) in prepared.params().iter().zip(&statement.uses) {
            if description.params[index].is_empty() {
                description.params[index] = type_name(ty).into_owned();
            }
        }
        Column::all(prepared.columns())?;
        description.columns = prepared
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), type_name(column.type_()).into_owned()))
            .collect();
    }
    Ok(description)
}
