//! `cargo xtask test`: runs every test, with real servers and tools.

use anyhow::Result;

use crate::cargo::{cargo, run};
use crate::{postgres, say};

/// The programs that tests start. Each is in the Debian package of its name.
const TOOLS: [&str; 7] = ["redis-server", "pgbouncer", "pebble", "chromium", "gzip", "brotli", "zstd"];

pub(crate) fn test(args: &[String]) -> Result<()> {
    if postgres::find_or_install()?.is_none() {
        anyhow::bail!("the tests need PostgreSQL. {}", postgres::HOW_TO_INSTALL);
    }
    postgres::install_if_missing(&TOOLS)?;
    say("tests");
    run(cargo(&["test", "--workspace"]).args(args))
}
