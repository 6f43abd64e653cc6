//! `cargo xtask test`: every test, with the real servers that they need.

use anyhow::Result;

use crate::cargo::{cargo, run};
use crate::{postgres, say};

pub(crate) fn test(args: &[String]) -> Result<()> {
    if postgres::find_or_install()?.is_none() {
        anyhow::bail!("the tests need PostgreSQL. {}", postgres::HOW_TO_INSTALL);
    }
    postgres::install_if_missing(&["redis-server", "pgbouncer"])?;
    say("tests");
    run(cargo(&["test", "--workspace"]).args(args))
}
