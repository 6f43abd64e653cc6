//! `dunlin check`: the errors that can be found before the service starts.

use anyhow::Context as _;

use super::print;
use crate::config::{Config, Route};
use crate::failure::{Failure, is_coloured};
use crate::notices;
use crate::reader::Diagnostic;
use crate::routes::Query;
use crate::service::Plan;

/// Checks everything that the reading of the file could not: certificates, folders, and, unless
/// `offline`, each query by the database.
pub(crate) fn check(config: Config, offline: bool) -> Result<(), Failure> {
    // Without an address, nothing is bound, and all the rest is checked.
    let nowhere = dunlin_server::Config { listen: Vec::new(), handover: None, ..config.server.clone() };
    dunlin_server::Server::bind(nowhere)?;
    let plan = Plan::new(config)?;
    let config = plan.config();
    if !offline {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let place = || config.database.as_ref().map(dunlin_pg::Database::place).unwrap_or_default();
        let wrong = runtime
            .block_on(describe(&plan))
            .with_context(|| format!("cannot check the queries by {} (without it: dunlin check --offline)", place()))?;
        if !wrong.is_empty() {
            return Err(Failure::Config(config.explain(wrong, is_coloured())));
        }
    }
    eprint!("{}", config.warnings(is_coloured()));
    if let Some(warning) = notices::warning(&plan) {
        eprintln!("warning: {warning}");
    }
    let routes = super::count(config.routes.len());
    let queries = if offline && config.database.is_some() { "; the queries were not checked" } else { "" };
    print(&format!("{} is good: {routes}{queries}\n", config.file()))
}

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
