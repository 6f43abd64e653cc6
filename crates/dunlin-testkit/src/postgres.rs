//! [`Postgres`]: a PostgreSQL server for one test.

use std::io;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::pg::{Cluster, Programs};
use crate::{PATIENCE, free_port};

/// A PostgreSQL server for one test, on a free port and a Unix socket. It is removed on drop.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    port: u16,
    // Dropped after the cluster, so that the server has ended before its folder is removed.
    _dir: TempDir,
}

// === impl Postgres ===

impl Postgres {
    /// Starts a server.
    ///
    /// # Panics
    /// Panics if PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with settings of postgresql.conf, each as `name=value`.
    ///
    /// # Panics
    /// Panics if PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn with(settings: &[&str]) -> Self {
        let programs = Programs::find()
            .expect("PostgreSQL is not installed: apt-get install postgresql, or brew install postgresql");
        let dir = folder();
        let mut cluster = Cluster::open(programs, dir.path()).expect("make a cluster");
        for setting in ["max_connections=200", "shared_buffers=32MB"].iter().chain(settings) {
            cluster.set(*setting);
        }
        Self::run(cluster, dir)
    }

    /// Starts a hot standby of this server, with streaming replication. It is read-only until it is
    /// promoted (`SELECT pg_promote()`).
    ///
    /// # Panics
    /// Panics if this server does not run, or the standby does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let dir = folder();
        let cluster = Cluster::standby(&self.cluster, dir.path()).expect("copy the primary");
        Self::run(cluster, dir)
    }

    fn run(mut cluster: Cluster, dir: TempDir) -> Self {
        cluster.set_scratch();
        let port = free_port();
        cluster.set_port(port);
        cluster.start().unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port, _dir: dir }
    }

    /// The connection URL over TCP.
    #[must_use]
    pub fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// The connection URL over the Unix socket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        self.cluster.socket_url("postgres")
    }

    /// The port on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The cluster, for access to its folders.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Runs SQL with psql, and returns its output.
    ///
    /// # Panics
    /// Panics with psql's message if it fails.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL with psql, and returns its output.
    ///
    /// # Errors
    /// Returns psql's message.
    pub fn try_psql(&self, sql: &str) -> io::Result<String> {
        self.cluster.psql("postgres", sql)
    }

    /// Kills the server, as in a power failure. Its clients get no message.
    pub fn stop_hard(&mut self) {
        self.cluster.kill();
    }

    /// Shuts the server down. Its clients get a message.
    pub fn stop(&mut self) {
        self.cluster.stop();
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn restart(&mut self) {
        self.cluster.stop();
        // Processes of a killed server may keep its shared memory for a moment.
        let start = Instant::now();
        while let Err(error) = self.cluster.start() {
            assert!(start.elapsed() < PATIENCE, "PostgreSQL did not restart: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Makes a folder. It is not in TMPDIR, because the path of a Unix socket has to be short, and the
/// server's user needs access to it.
fn folder() -> TempDir {
    tempfile::Builder::new().prefix("dunlin-pg-").tempdir_in("/tmp").expect("make a folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_data_after_a_kill() {
        let mut pg = Postgres::start();
        assert_eq!(pg.psql("CREATE TABLE t(a int); INSERT INTO t VALUES (7) RETURNING a"), "7");
        pg.stop_hard();
        assert!(pg.try_psql("SELECT 1").is_err());
        pg.restart();
        assert_eq!(pg.psql("SELECT a FROM t"), "7");
        assert!(pg.try_psql("SELECT nothing").unwrap_err().to_string().contains("nothing"));
    }

    #[test]
    fn a_standby_replicates_and_can_be_promoted() {
        let mut primary = Postgres::start();
        primary.psql("CREATE TABLE t(a int); INSERT INTO t VALUES (7)");
        let standby = primary.standby();
        assert_eq!(standby.psql("SELECT a FROM t"), "7");
        primary.psql("UPDATE t SET a = 8");
        crate::eventually("the standby has the update", || standby.psql("SELECT a FROM t") == "8");
        assert!(standby.try_psql("UPDATE t SET a = 9").is_err());
        primary.stop_hard();
        assert_eq!(standby.psql("SELECT pg_promote()"), "t");
        assert_eq!(standby.psql("UPDATE t SET a = 9 RETURNING a"), "9");
    }
}
