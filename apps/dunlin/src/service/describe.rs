//! The queries of the routes, as the database describes them.

use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use crate::config::{Config, Route};
use crate::reader::Diagnostic;
use crate::routes::Query;

/// Asks the database about the queries of the routes, and describes them in the OpenAPI document.
/// Returns its errors.
///
/// # Errors
/// The reason why the database cannot be asked.
pub(crate) async fn describe(plan: &Plan) -> Result<Vec<Diagnostic>, dunlin_pg::Error> {
    let config = plan.config();
    let Some(database) = &config.database else { return Ok(Vec::new()) };
    let (routes, declared): (Vec<_>, Vec<_>) = plan.queries().unzip();
    let answers = database.describe(&declared).await?;
    let mut descriptions = Vec::with_capacity(answers.len());
    let mut wrong = Vec::new();
    for ((route, query), answer) in routes.into_iter().zip(answers) {
        match answer {
            Ok(description) => descriptions.push(Some(description)),
            Err(error) => {
                descriptions.push(None);
                wrong.push(explain(config, route, query, &error));
            }
        }
    }
    plan.interface().complete(config, descriptions);
    Ok(wrong)
}

/// The error of a query at its place.
fn explain(config: &Config, route: &Route, query: &Query, error: &dunlin_pg::Error) -> Diagnostic {
    let what = format!("the query of {} {}: {error}", route.methods, route.name());
    // The place in the file says more than the number of the character.
    let place = error.position().and_then(|position| {
        // A statement on one line has its place already.
        let [sql] = &query.declaration.statements[..] else { return None };
        let sql = Some(sql).filter(|sql| sql.contains('\n'))?;
        let place = config.source().within(&query.span, sql, position.checked_sub(1)? as usize)?;
        Some((place, what.replace(&format!(" at character {position}"), "")))
    });
    let (span, what) = place.unwrap_or((query.span.clone(), what));
    Diagnostic::new(span, what)
}

/// Completes the OpenAPI document if the database was away at the start.
pub(crate) async fn describe_later(plan: Arc<Plan>) {
    while plan.config().openapi.is_some() && !plan.interface().is_complete() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Ok(wrong) = describe(&plan).await {
            for line in plan.config().explain(wrong, false).lines().filter(|line| !line.is_empty()) {
                tracing::error!("{line}");
            }
        }
    }
}
