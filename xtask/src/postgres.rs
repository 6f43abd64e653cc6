//! The demo's database: the caller's own, or a private cluster.

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

/// Where the demo's data is.
pub(crate) enum Database {
    /// Where `DATABASE_URL` says.
    Callers(String),
    /// In a cluster that ends with this process.
    Private(Cluster),
    /// Nowhere: PostgreSQL is not installed.
    None,
}

// === impl Database ===

impl Database {
    /// Finds or starts the demo's database and fills it if it is not filled yet.
    pub(crate) fn open() -> Result<Self> {
        if let Ok(url) = std::env::var("DATABASE_URL") {
            fill_callers(&url)?;
            return Ok(Self::Callers(url));
        }
        let Some(programs) = find_or_install()? else {
            say(format_args!("no PostgreSQL here, so the database's routes will answer 503. {HOW_TO_INSTALL}"));
            return Ok(Self::None);
        };
        let dir = private_dir();
        if !dir.join("data").exists() {
            say(format_args!("making a database cluster in {}", dir.display()));
        }
        let mut cluster = Cluster::open(programs, &dir).context("making the database cluster")?;
        cluster.start().with_context(|| format!("is the demo running already? Its data is in {}", dir.display()))?;
        if cluster.psql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'demo'")? == "0" {
            say("filling the demo's database");
            // Under another name until it is whole. CREATE DATABASE stands alone, never in a
            // transaction.
            cluster.psql("postgres", "DROP DATABASE IF EXISTS demo_part")?;
            cluster.psql("postgres", "CREATE DATABASE demo_part")?;
            cluster.psql("demo_part", SCHEMA)?;
            cluster.psql("postgres", "ALTER DATABASE demo_part RENAME TO demo")?;
        }
        Ok(Self::Private(cluster))
    }

    /// The URL for the service; `None` leaves the one of its configuration.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Callers(url) => Some(url.clone()),
            Self::Private(cluster) => Some(cluster.url("demo")),
            Self::None => None,
        }
    }
}

/// PostgreSQL's programs; as root on a Debian, installed when missing.
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

/// Installs the packages whose program of the same name is missing, where it can; a test that
/// misses one says so itself.
pub(crate) fn install_if_missing(packages: &[&str]) -> Result<()> {
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    dirs.push("/usr/sbin".into());
    let missing = |name: &&str| !dirs.iter().any(|dir| dir.join(name).is_file());
    let missing: Vec<&str> = packages.iter().copied().filter(missing).collect();
    if missing.is_empty() || !can_install() { Ok(()) } else { install(&missing) }
}

/// As root on a Debian.
fn can_install() -> bool {
    // SAFETY: it only asks.
    let root = unsafe { libc::geteuid() } == 0;
    root && Command::new("apt-get").arg("--version").output().is_ok()
}

fn install(packages: &[&str]) -> Result<()> {
    say(format_args!("installing {} by apt-get", packages.join(", ")));
    let apt = |args: &[&str]| run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-qq", "--no-install-recommends"], packages].concat())
}

/// Where the private cluster lies from one run to the next. The name is short, for a Unix socket's
/// path must be, and it is not in the workspace when root calls, for the server's user may not be
/// able to look in there.
fn private_dir() -> PathBuf {
    // SAFETY: it only asks.
    let uid = unsafe { libc::geteuid() };
    let mut hasher = DefaultHasher::new();
    root().hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/dunlin-demo-{uid}-{:08x}", hasher.finish() as u32))
}

/// Fills the caller's own database, unless it has the demo's tables already, or others of those
/// names.
fn fill_callers(url: &str) -> Result<()> {
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
