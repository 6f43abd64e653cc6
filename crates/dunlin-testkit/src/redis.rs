//! [`Redis`]: a Redis server for one test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::child::GuardedServer;
use crate::free_port;

/// A Redis or Valkey server for one test, on a free port, without persistence. It ends on drop.
#[derive(Debug)]
pub struct Redis {
    server: Option<GuardedServer>,
    port: u16,
    /// The port for TLS.
    tls: Option<u16>,
    dir: TempDir,
}

// === impl Redis ===

impl Redis {
    /// Starts a server.
    ///
    /// # Panics
    /// Panics if neither Redis nor Valkey is installed, or if it does not start.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("dunlin-redis-").tempdir().expect("make a folder");
        let mut redis = Self { server: None, port: free_port(), tls: None, dir };
        redis.restart();
        redis
    }

    /// Starts a server that accepts TLS as well, with this certificate and key in PEM.
    ///
    /// # Panics
    /// Panics like [`Redis::start`].
    #[must_use]
    pub fn start_tls(certificate: &str, key: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("dunlin-redis-").tempdir().expect("make a folder");
        for (name, pem) in [("certificate.pem", certificate), ("key.pem", key)] {
            std::fs::write(dir.path().join(name), pem).expect("write a file");
        }
        let mut redis = Self { server: None, port: free_port(), tls: Some(free_port()), dir };
        redis.restart();
        redis
    }

    /// The connection URL with TLS. The certificate has to be for `localhost`.
    ///
    /// # Panics
    /// Panics if it was started without TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}/", self.tls.expect("started without TLS"))
    }

    /// The connection URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it.
    pub fn stop_hard(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Suspends or resumes it. Connections stay open, but get no response while it is suspended.
    pub fn freeze(&self, frozen: bool) {
        if let Some(server) = &self.server {
            server.freeze(frozen);
        }
    }

    /// Starts it again on the same port, without data.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn restart(&mut self) {
        self.stop_hard();
        let program = program().expect("Redis is not installed: apt-get install redis-server");
        let port = self.port.to_string();
        let mut args =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(str::to_owned).to_vec();
        if let Some(port) = self.tls {
            let file = |name| self.dir.path().join(name).display().to_string();
            let (port, certificate, key) = (port.to_string(), file("certificate.pem"), file("key.pem"));
            args.extend(["--tls-port".to_owned(), port, "--tls-cert-file".to_owned(), certificate]);
            args.extend(["--tls-key-file".to_owned(), key, "--tls-auth-clients".to_owned(), "no".to_owned()]);
        }
        let log = self.dir.path().join("log");
        let mut server =
            GuardedServer::spawn(&program, &args, None, "TERM", &log, Some(self.dir.path())).expect("start Redis");
        let is_ready = || self.command("PING").is_some_and(|response| response.starts_with("+PONG"));
        server.wait_until(&log, is_ready).unwrap_or_else(|error| panic!("Redis did not start: {error}"));
        self.server = Some(server);
    }

    /// Sends one inline command, and returns the first bytes of the response.
    #[must_use]
    pub fn command(&self, line: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut response = vec![0; 64 * 1024];
        let n = socket.read(&mut response).ok()?;
        Some(String::from_utf8_lossy(&response[..n]).into_owned())
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let names = ["redis-server", "valkey-server"];
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_data_after_a_restart() {
        let mut redis = Redis::start();
        assert_eq!(redis.command("SET a 1").unwrap(), "+OK\r\n");
        redis.stop_hard();
        assert!(redis.command("PING").is_none());
        redis.restart();
        assert_eq!(redis.command("GET a").unwrap(), "$-1\r\n");
    }
}
