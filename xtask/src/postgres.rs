//! [`Database`]: the caller's own database, or a private cluster.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use dunlin_testkit::pg::{Cluster, Programs};

use crate::cargo::{root, run};
use crate::say;

pub(crate) const HOW_TO_INSTALL: &str =
    "Install it with `apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`.";

const SCHEMA: &str = include_str!("../../apps/dunlin/demo/schema.sql");

/// The database of the demo.
pub(crate) enum Database {
    /// The database at `DATABASE_URL`.
    Own(String),
    /// A cluster that ends with this process.
    Private(Cluster),
    /// No database, because PostgreSQL is not installed.
    None,
}

// === impl Database ===

impl Database {
    /// Opens or starts the database, and fills it if it is empty.
    pub(crate) fn open() -> Result<Self> {
        if let Ok(url) = std::env::var("DATABASE_URL") {
            fill(&url)?;
            return Ok(Self::Own(url));
        }
        let Some(programs) = find_or_install()? else {
            say(format_args!(
                "PostgreSQL is not installed, so the routes with a query respond with 503. {HOW_TO_INSTALL}"
            ));
            return Ok(Self::None);
        };
        let dir = private_dir();
        if !dir.join("data").exists() {
            say(format_args!("making a database cluster in {}", dir.display()));
        }
        let mut cluster = Cluster::open(programs, &dir).context("cannot make the database cluster")?;
        cluster.start().with_context(|| {
            format!("cannot start the database; is the demo running already? Its data is in {}", dir.display())
        })?;
        if cluster.psql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'demo'")? == "0" {
            say("filling the demo's database");
            // It has another name until it is complete. CREATE DATABASE cannot run in a
            // transaction.
            cluster.psql("postgres", "DROP DATABASE IF EXISTS demo_part")?;
            cluster.psql("postgres", "CREATE DATABASE demo_part")?;
            cluster.psql("demo_part", SCHEMA)?;
            cluster.psql("postgres", "ALTER DATABASE demo_part RENAME TO demo")?;
        }
        Ok(Self::Private(cluster))
    }

    /// The URL for the service. `None` leaves the one of its configuration.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Own(url) => Some(url.clone()),
            Self::Private(cluster) => Some(cluster.url("demo")),
            Self::None => None,
        }
    }
}

/// Finds PostgreSQL's programs. As root on Debian, installs them if they are missing.
pub(crate) fn find_or_install() -> Result<Option<Programs>> {
    if let Some(programs) = Programs::find() {
        return Ok(Some(programs));
    }
    if !can_install() {
        return Ok(None);
    }
    install(&["postgresql"])?;
    Ok(Programs::find())
}

/// As root on Debian, installs the packages whose program of the same name is missing. Elsewhere, a
/// test that needs one names the package.
pub(crate) fn install_if_missing(packages: &[&str]) -> Result<()> {
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    dirs.push("/usr/sbin".into());
    let missing = |name: &&str| !dirs.iter().any(|dir| dir.join(name).is_file());
    let missing: Vec<&str> = packages.iter().copied().filter(missing).collect();
    if missing.is_empty() || !can_install() { Ok(()) } else { install(&missing) }
}

/// Returns `true` for root on Debian.
fn can_install() -> bool {
    // SAFETY: the call has no effect.
    let root = unsafe { libc::geteuid() } == 0;
    root && Command::new("apt-get").arg("--version").output().is_ok()
}

fn install(packages: &[&str]) -> Result<()> {
    say(format_args!("installing {} with apt-get", packages.join(", ")));
    let apt = |args: &[&str]| run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-qq", "--no-install-recommends"], packages].concat())
}

/// The folder of the private cluster, which outlives a run. Its path is short, as that of a Unix
/// socket has to be. It is outside the workspace, because the server's user may have no access
/// there.
fn private_dir() -> PathBuf {
    // SAFETY: the call has no effect.
    let uid = unsafe { libc::geteuid() };
    let mut hasher = DefaultHasher::new();
    root().hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/dunlin-demo-{uid}-{:08x}", hasher.finish() as u32))
}

/// Fills the database at `DATABASE_URL`. Does nothing if it has the demo's tables already, and
/// fails if it has other tables of these names.
fn fill(url: &str) -> Result<()> {
    let psql = |sql: &str| -> Result<String> {
        let program = Programs::find().map_or_else(|| "psql".into(), |programs| programs.path("psql"));
        let mut psql = Command::new(program);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", url, "-c", sql]);
        let out = psql.output().context("psql did not start; it fills the database of DATABASE_URL")?;
        if !out.status.success() {
            bail!("the database of DATABASE_URL: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let found = psql(
        "SELECT coalesce(obj_description(to_regclass('users')), CASE WHEN to_regclass('users') IS NULL THEN '' ELSE '?' END)",
    )?;
    match &*found {
        "" => {
            say("filling the database of DATABASE_URL with the demo's tables");
            psql(SCHEMA).map(drop)
        }
        "The demo's users" => Ok(()),
        _ => bail!("the database of DATABASE_URL has a table \"users\" of its own: give the demo an empty database"),
    }
}
