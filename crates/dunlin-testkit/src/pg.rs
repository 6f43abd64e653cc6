//! Finds PostgreSQL's programs, and runs private clusters with them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::GuardedServer;

/// The folder of PostgreSQL's server programs.
#[derive(Clone, Debug)]
pub struct Programs(PathBuf);

/// A cluster in a folder, and its server while it runs.
///
/// The server listens on a Unix socket beside the data, and on the loopback address if it has a
/// port. It trusts every client. It runs as an ordinary user, even if the caller is root, and ends
/// with its owner.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    dir: PathBuf,
    port: Option<u16>,
    settings: Vec<String>,
    user: Option<(u32, u32)>,
    scratch: bool,
    server: Option<GuardedServer>,
}

// === impl Programs ===

impl Programs {
    /// Finds the programs on the PATH, else in the usual folders of distributions and Homebrew. The
    /// newest version has precedence.
    #[must_use]
    pub fn find() -> Option<Self> {
        let on_path =
            std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
        on_path.chain(usual_places()).find_map(|dir| {
            // A link on the PATH leads to the folder of the other programs.
            let dir = fs::canonicalize(dir.join("postgres")).ok()?.parent()?.to_owned();
            dir.join("initdb").is_file().then_some(Self(dir))
        })
    }

    /// The path of a program, such as `psql`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// The folders of Debian and Ubuntu, of the community packages for Red Hat, of Homebrew on both
/// kinds of Mac, of MacPorts and of Postgres.app.
fn usual_places() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (base, prefix, tail) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/opt/local/lib", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let names = fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> =
            names.filter_map(|name| name.into_string().ok()).filter(|n| n.starts_with(prefix)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(version(name)));
        found.extend(names.iter().map(|name| Path::new(base).join(name).join(tail)));
    }
    found.push("/usr/pgsql/bin".into());
    found
}

/// The first number in a folder's name.
fn version(name: &str) -> u32 {
    let digits: String = name.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

// === impl Cluster ===

impl Cluster {
    /// Opens the cluster in `dir`, and makes it if there is none. The server runs only after
    /// [`Cluster::start`].
    ///
    /// # Errors
    /// Fails if the folder cannot be made, or if initdb fails. The error has initdb's message.
    pub fn open(programs: Programs, dir: &Path) -> io::Result<Self> {
        let user = server_user()?;
        let cluster = Self {
            programs,
            dir: dir.to_owned(),
            port: None,
            settings: Vec::new(),
            user,
            scratch: false,
            server: None,
        };
        if !cluster.data().join("PG_VERSION").is_file() {
            cluster.init()?;
        }
        Ok(cluster)
    }

    /// Makes a hot standby of `primary` in `dir`, with the same settings. `primary` has to run. The
    /// standby runs only after [`Cluster::start`].
    ///
    /// # Errors
    /// Fails if the folder cannot be made, or if pg_basebackup fails. The error has its message.
    pub fn standby(primary: &Self, dir: &Path) -> io::Result<Self> {
        let standby = Self {
            programs: primary.programs.clone(),
            dir: dir.to_owned(),
            port: None,
            settings: primary.settings.clone(),
            user: primary.user,
            scratch: false,
            server: None,
        };
        standby.give(dir)?;
        let mut copy = Command::new(standby.programs.path("pg_basebackup"));
        copy.arg("-D").arg(standby.data()).args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-U", "postgres"]);
        copy.arg("-h").arg(primary.socket()).args(["-p", &primary.port.unwrap_or(5432).to_string()]);
        standby.run(&mut copy)?;
        Ok(standby)
    }

    /// Sets a port of the loopback address to listen on.
    pub fn set_port(&mut self, port: u16) {
        self.port = Some(port);
    }

    /// Adds a setting of postgresql.conf for the next start, as `name=value`.
    pub fn set(&mut self, setting: impl Into<String>) {
        self.settings.push(setting.into());
    }

    /// Marks the folder for removal if this process dies while the server runs.
    pub fn set_scratch(&mut self) {
        self.scratch = true;
    }

    /// The folder of the data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The folder of the Unix socket: `host` in a connection string.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.dir
    }

    /// Makes the server's user the owner of a file or folder.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        self.user.map_or(Ok(()), |(uid, gid)| chown(path, Some(uid), Some(gid)))
    }

    fn init(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))?;
        self.give(&self.dir)?;
        // The data has another name until it is complete, so that an interrupted run leaves nothing
        // that looks finished.
        let part = self.dir.join("data.part");
        let _ = fs::remove_dir_all(&part);
        let mut initdb = Command::new(self.programs.path("initdb"));
        initdb.arg("-D").arg(&part).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        self.run(&mut initdb)?;
        fs::rename(part, self.data())
    }

    /// Starts the server and waits until it responds.
    ///
    /// # Errors
    /// Fails if it ends, or does not respond within [`PATIENCE`](crate::PATIENCE). The error has
    /// the end of its log.
    pub fn start(&mut self) -> io::Result<()> {
        let mut args =
            vec!["-D".to_owned(), self.data().display().to_string(), "-k".into(), self.dir.display().to_string()];
        let (address, port) = self.port.map_or((String::new(), 5432), |port| ("127.0.0.1".to_owned(), port));
        args.extend(["-p".into(), port.to_string()]);
        let fixed = [format!("listen_addresses={address}"), "fsync=off".into(), "timezone=UTC".into()];
        for setting in fixed.iter().chain(&self.settings) {
            args.extend(["-c".into(), setting.clone()]);
        }
        let log = self.dir.join("log");
        let scratch = self.scratch.then_some(&*self.dir);
        let mut server = GuardedServer::spawn(&self.programs.path("postgres"), &args, self.user, "INT", &log, scratch)?;
        server
            .wait_until(&log, || self.is_ready(port))
            .map_err(|error| io::Error::other(format!("PostgreSQL did not start: {error}")))?;
        self.server = Some(server);
        Ok(())
    }

    fn is_ready(&self, port: u16) -> bool {
        let mut pg_isready = Command::new(self.programs.path("pg_isready"));
        pg_isready.arg("-q").arg("-h").arg(&self.dir).args(["-p", &port.to_string(), "-t", "5"]);
        pg_isready.status().is_ok_and(|status| status.success())
    }

    /// Shuts the server down, if it runs.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Kills the server, as in a power failure.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Runs SQL in `database` with psql, up to the first error. Returns the rows, with `|` between
    /// columns.
    ///
    /// # Errors
    /// Returns psql's message.
    pub fn psql(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut psql = Command::new(self.programs.path("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        psql.arg("-h").arg(&self.dir).args(["-p", &self.port.unwrap_or(5432).to_string(), "-c", sql]);
        let out = psql.stdin(Stdio::null()).output()?;
        if !out.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&out.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }

    /// The connection URL: over TCP if there is a port, else over the Unix socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        match self.port {
            Some(port) => format!("postgres://postgres@127.0.0.1:{port}/{database}"),
            None => self.socket_url(database),
        }
    }

    /// The connection URL over the Unix socket.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        let mut host = String::new();
        for byte in self.dir.display().to_string().bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => host.push(byte.into()),
                _ => _ = write!(host, "%{byte:02X}"),
            }
        }
        format!("postgres://postgres@{host}:{}/{database}", self.port.unwrap_or(5432))
    }

    /// Runs a program as the server's user.
    fn run(&self, command: &mut Command) -> io::Result<()> {
        command.current_dir("/").stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let out = command.output()?;
        if out.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))))
    }
}

/// The user and group that the server runs as. Returns `None` if the caller is an ordinary user.
///
/// PostgreSQL refuses to run as root. So root becomes `postgres`, a user of the packages, or else
/// the system's unprivileged user.
pub(crate) fn server_user() -> io::Result<Option<(u32, u32)>> {
    /// The number of the unprivileged user, on all distributions of Linux.
    const UNPRIVILEGED: &str = "65534";
    // SAFETY: the call has no effect.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let find = |field: usize, value: &str| {
        let line = passwd.lines().find(|line| line.split(':').nth(field) == Some(value))?;
        let mut ids = line.split(':').skip(2).map_while(|id| id.parse().ok());
        Some((ids.next()?, ids.next()?))
    };
    let user = find(0, "postgres").or_else(|| find(2, UNPRIVILEGED));
    user.map(Some).ok_or_else(|| {
        io::Error::other(format!("PostgreSQL refuses to run as root: add a user `postgres` or {UNPRIVILEGED}"))
    })
}
