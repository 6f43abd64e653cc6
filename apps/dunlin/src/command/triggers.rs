//! `dunlin triggers`: the SQL that makes a table notify the cache.

use anyhow::Context as _;

use crate::config::Config;
use crate::failure::Failure;

/// Prints the SQL that makes `table` notify of `groups`, or runs it.
pub(crate) fn triggers(config: &Config, table: &str, groups: &[String], apply: bool) -> Result<(), Failure> {
    let channel = match &*config.cache.notify {
        "" => return Err(anyhow::anyhow!("[cache] notify is empty, so no notice would be read").into()),
        channel => channel,
    };
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let sql = dunlin_pg::triggers::install(channel, table, &groups)?;
    if !apply {
        return super::print(&sql);
    }
    let database = config.database.as_ref().context("there is no [database] to run it in")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(database.script(&sql))
        .with_context(|| format!("cannot make the trigger in {}", database.place()))?;
    super::print(&format!("{table} notifies \"{channel}\" of {}\n", groups.join(", ")))
}
