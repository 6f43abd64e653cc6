//! `dunlin check`: everything that can be known before the service starts.

use anyhow::Context as _;

use crate::cli::{Failure, coloured};
use crate::config::{Config, Diagnostic};
use crate::notices;
use crate::service::Plan;

/// Checks what reading the file could not: certificates, and each query by the database.
pub(crate) fn check(config: Config) -> Result<(), Failure> {
    // Without an address it binds nothing, and looks at all the rest.
    let nowhere = dunlin_server::Config { listen: Vec::new(), handover: None, ..config.server.clone() };
    dunlin_server::Server::bind(nowhere)?;
    let plan = Plan::new(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = plan.config();
    let place = || config.database.as_ref().map(dunlin_pg::Database::place).unwrap_or_default();
    let wrong =
        runtime.block_on(unprepared(&plan)).with_context(|| format!("cannot check the queries by {}", place()))?;
    if !wrong.is_empty() {
        return Err(Failure::Config(config.explain(wrong, coloured())));
    }
    if let Some(warning) = notices::unheard(&plan) {
        eprintln!("warning: {warning}");
    }
    let routes = match config.routes.len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    println!("{} is good: {routes}", config.file());
    Ok(())
}

/// What the database has against the queries of the routes.
///
/// # Errors
/// When it cannot be asked.
pub(crate) async fn unprepared(plan: &Plan) -> Result<Vec<Diagnostic>, dunlin_pg::Error> {
    let Some(database) = &plan.config().database else { return Ok(Vec::new()) };
    let (routes, declared): (Vec<_>, Vec<_>) = plan.queries().unzip();
    let answers = database.describe(&declared).await?;
    let wrong = routes.into_iter().zip(answers).filter_map(|((route, query), answer)| {
        let error = answer.err()?;
        let what = format!("the query of {} {}: {error}", route.methods, route.path.as_str());
        Some(Diagnostic::new(query.span.clone(), what))
    });
    Ok(wrong.collect())
}
