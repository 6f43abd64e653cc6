//! `dunlin triggers`: the database says what has changed.

use anyhow::Context as _;

use crate::cli::Failure;
use crate::config::Config;

/// Prints the SQL that makes `table` notify of `groups`, or runs it.
pub(crate) fn triggers(config: &Config, table: &str, groups: &[String], apply: bool) -> Result<(), Failure> {
    let channel = match &*config.cache.notify {
        "" => return Err(anyhow::anyhow!("[cache] notify is empty: nobody would listen").into()),
        channel => channel,
    };
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let sql = dunlin_pg::triggers::install(channel, table, &groups)?;
    if !apply {
        print!("{sql}");
        return Ok(());
    }
    let database = config.database.as_ref().context("there is no [database] to run it in")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(database.script(&sql))
        .with_context(|| format!("cannot make the trigger in {}", database.place()))?;
    println!("{table} tells \"{channel}\" of {}", groups.join(", "));
    Ok(())
}
