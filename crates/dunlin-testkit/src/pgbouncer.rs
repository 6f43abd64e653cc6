//! [`PgBouncer`]: a pooler in front of a test's PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::child::GuardedServer;
use crate::{Postgres, free_port, pg};

/// A PgBouncer on a free port. It assigns few connections, one transaction at a time. It ends on
/// drop.
#[derive(Debug)]
pub struct PgBouncer {
    server: Option<GuardedServer>,
    port: u16,
    dir: TempDir,
}

/// The number of server connections. It is small, so that clients share them.
const CONNECTIONS: usize = 3;

// === impl PgBouncer ===

impl PgBouncer {
    /// Starts a pooler in front of `postgres`.
    ///
    /// # Panics
    /// Panics if PgBouncer is not installed, or does not start.
    #[must_use]
    pub fn start(postgres: &Postgres) -> Self {
        let dir = tempfile::Builder::new().prefix("dunlin-bouncer-").tempdir_in("/tmp").expect("make a folder");
        postgres.cluster().give(dir.path()).expect("change the owner of the folder");
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

    /// Kills it. Its clients get no message.
    pub fn stop_hard(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn restart(&mut self) {
        self.stop_hard();
        let program =
            program().expect("PgBouncer is not installed: apt-get install pgbouncer, or brew install pgbouncer");
        // Like PostgreSQL, it refuses to run as root.
        let user = pg::server_user().expect("a user for the pooler");
        let args = [self.dir.path().join("ini").display().to_string()];
        let log = self.dir.path().join("log");
        let mut server =
            GuardedServer::spawn(&program, &args, user, "TERM", &log, Some(self.dir.path())).expect("start PgBouncer");
        let is_ready = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        server.wait_until(&log, is_ready).unwrap_or_else(|error| panic!("PgBouncer did not start: {error}"));
        self.server = Some(server);
    }
}

/// Finds the program. Its folder may not be on an ordinary user's PATH.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    dirs.map(|dir| dir.join("pgbouncer")).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pools_connections_and_restarts() {
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
