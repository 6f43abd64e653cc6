//! [`PgBouncer`]: a pooler before a test's own PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::child::Guarded;
use crate::{Postgres, free_port, pg};

/// A PgBouncer on a free port that hands out few connections by transaction, gone when it is
/// dropped.
#[derive(Debug)]
pub struct PgBouncer {
    server: Option<Guarded>,
    port: u16,
    dir: TempDir,
}

/// So few that clients come to share them.
const CONNECTIONS: usize = 3;

// === impl PgBouncer ===

impl PgBouncer {
    /// Starts one before `postgres`.
    ///
    /// # Panics
    /// When PgBouncer is not installed or does not start.
    #[must_use]
    pub fn start(postgres: &Postgres) -> Self {
        let dir = tempfile::Builder::new().prefix("dunlin-bouncer-").tempdir_in("/tmp").expect("make a folder");
        postgres.cluster().give(dir.path()).expect("give the folder away");
        let port = free_port();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\nserver_login_retry = 1\n",
            postgres.port()
        );
        fs::write(dir.path().join("ini"), config).expect("write the configuration");
        let mut bouncer = Self { server: None, port, dir };
        bouncer.restart();
        bouncer
    }

    /// The connection URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it: nobody is told.
    pub fn stop_hard(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts it on the same port.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.stop_hard();
        let program =
            program().expect("PgBouncer is not installed: apt-get install pgbouncer, or brew install pgbouncer");
        // It does not run as root, as PostgreSQL does not.
        let user = pg::server_user().expect("a user for the pooler");
        let args = [self.dir.path().join("ini").display().to_string()];
        let log = self.dir.path().join("log");
        let mut server =
            Guarded::spawn(&program, &args, user, "TERM", &log, Some(self.dir.path())).expect("start PgBouncer");
        let answers = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        server.wait_until(&log, answers).unwrap_or_else(|error| panic!("PgBouncer does not start: {error}"));
        self.server = Some(server);
    }
}

/// It stands where an ordinary user's PATH may not lead.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join("pgbouncer")).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_before_a_server_and_comes_back() {
        let postgres = Postgres::start();
        let mut bouncer = PgBouncer::start(&postgres);
        let psql = |url: String| {
            let mut psql = std::process::Command::new(pg::Programs::find().unwrap().path("psql"));
            let out = psql.args(["-X", "-At", "-d", &url, "-c", "SELECT 7"]).output().unwrap();
            String::from_utf8_lossy(&out.stdout).trim().to_owned()
        };
        assert_eq!(psql(bouncer.url()), "7");
        bouncer.stop_hard();
        assert_eq!(psql(bouncer.url()), "");
        bouncer.restart();
        assert_eq!(psql(bouncer.url()), "7");
    }
}
