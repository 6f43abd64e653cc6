//! `dunlin openapi`: the OpenAPI document of the `query` routes.

use anyhow::Context as _;

use crate::config::Config;
use crate::failure::{Failure, is_coloured};
use crate::service::{Plan, describe};

/// Prints the document. With `offline` it has no types, because the database knows them.
pub(crate) fn openapi(config: Config, offline: bool) -> Result<(), Failure> {
    let plan = Plan::new(config, None)?;
    plan.interface().begin(plan.config());
    if !offline {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let wrong = runtime
            .block_on(describe(&plan))
            .context("cannot ask the database about the types (without them: dunlin openapi --offline)")?;
        if !wrong.is_empty() {
            return Err(Failure::Config(plan.config().explain(wrong, is_coloured())));
        }
    }
    super::print(&plan.interface().api.text())
}
