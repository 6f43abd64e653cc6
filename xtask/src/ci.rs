//! `cargo xtask ci`: exactly what continuous integration runs.

use anyhow::Result;

use crate::cargo::{cargo, run};
use crate::{fuzz, release, say, test};

pub(crate) fn ci() -> Result<()> {
    say("format");
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("lints");
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    say("documentation");
    run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))?;
    release::package()?;
    say("fuzz targets");
    fuzz::check()?;
    test::test(&[])
}
