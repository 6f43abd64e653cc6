//! `dunlin check`: the errors that can be found before the service starts.

use anyhow::Context as _;

use super::print;
use crate::config::Config;
use crate::failure::{Failure, is_coloured};
use crate::notices;
use crate::service::{Plan, describe};

/// Checks everything that the reading of the file could not: certificates, folders, and, unless
/// `offline`, each query by the database.
pub(crate) fn check(config: Config, offline: bool) -> Result<(), Failure> {
    // Without an address, nothing is bound, and all the rest is checked.
    let nowhere = dunlin_server::Config { listen: Vec::new(), handover: None, ..config.server.clone() };
    dunlin_server::Server::bind(nowhere)?;
    let plan = Plan::new(config, None)?;
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
    let routes = crate::config::count(config.routes.len());
    let queries = if offline && config.database.is_some() { "; the queries were not checked" } else { "" };
    print(&format!("{} is good: {routes}{queries}\n", config.file()))
}
