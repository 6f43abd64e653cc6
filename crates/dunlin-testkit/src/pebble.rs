//! [`Pebble`]: an ACME server for one test.

use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::child::GuardedServer;
use crate::free_port;

/// The properties of a [`Pebble`].
#[derive(Clone, Debug)]
pub struct PebbleConfig {
    /// The certificate for `localhost` that its own listener shows, in PEM.
    pub certificate: String,
    /// The key of the certificate, in PEM.
    pub key: String,
    /// The port on the loopback address that HTTP-01 is checked on.
    pub http_port: u16,
    /// The port on the loopback address that TLS-ALPN-01 is checked on.
    pub tls_port: u16,
    /// The time for which its certificates are valid.
    pub validity: Duration,
    /// The share of valid nonces that it refuses, in percent.
    pub refused_nonces: u8,
    /// The share of valid authorizations that it uses again, in percent.
    pub reused_authorizations: u8,
    /// Names for which it issues nothing.
    pub blocked: Vec<String>,
    /// The identifier and the key, in base64url, of an external account. `None` requires none.
    pub external_account: Option<(String, String)>,
}

/// Pebble, the ACME server for tests, on free ports. For it, every name has the loopback address.
/// It has no data after a restart, and ends on drop.
#[derive(Debug)]
pub struct Pebble {
    server: Option<GuardedServer>,
    config: PebbleConfig,
    port: u16,
    dns: Names,
    dir: TempDir,
}

/// A DNS server whose answer is always the loopback address.
#[derive(Debug)]
struct Names {
    port: u16,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

// === impl Pebble ===

impl Pebble {
    /// Returns `true` if it is installed. Otherwise says on stderr that the test is skipped.
    #[must_use]
    pub fn is_installed() -> bool {
        let is_installed = program().is_some();
        if !is_installed {
            eprintln!("skipped: there is no pebble, an ACME server for tests: apt-get install pebble");
        }
        is_installed
    }

    /// Starts it.
    ///
    /// # Panics
    /// Panics if it is not installed, or does not start.
    #[must_use]
    pub fn start(config: PebbleConfig) -> Self {
        let mut pebble = Self::stopped(config);
        pebble.restart();
        pebble
    }

    /// A server that does not run yet.
    ///
    /// # Panics
    /// Panics if its files cannot be written.
    #[must_use]
    pub fn stopped(config: PebbleConfig) -> Self {
        let dir = tempfile::Builder::new().prefix("dunlin-pebble-").tempdir().expect("make a folder");
        let pebble = Self { server: None, config, port: free_port(), dns: Names::start(), dir };
        let file = |name: &str| pebble.dir.path().join(name);
        let config = &pebble.config;
        std::fs::write(file("certificate.pem"), &config.certificate).expect("write a file");
        std::fs::write(file("key.pem"), &config.key).expect("write a file");
        let keys = config.external_account.iter().map(|(id, key)| (id.clone(), json!(key)));
        let text = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", pebble.port),
            "managementListenAddress": "",
            "certificate": file("certificate.pem"),
            "privateKey": file("key.pem"),
            "httpPort": config.http_port,
            "tlsPort": config.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": config.external_account.is_some(),
            "externalAccountMACKeys": serde_json::Map::from_iter(keys),
            "domainBlocklist": config.blocked,
            "certificateValidityPeriod": config.validity.as_secs(),
        }});
        std::fs::write(file("pebble.json"), text.to_string()).expect("write a file");
        pebble
    }

    /// Starts it again on the same port, without data.
    ///
    /// # Panics
    /// Panics like [`Pebble::start`].
    pub fn restart(&mut self) {
        self.stop();
        let program = program().expect("pebble is not installed: apt-get install pebble");
        let variables = [
            "PEBBLE_VA_NOSLEEP=1".to_owned(),
            format!("PEBBLE_WFE_NONCEREJECT={}", self.config.refused_nonces),
            format!("PEBBLE_AUTHZREUSE={}", self.config.reused_authorizations),
        ];
        let config = self.dir.path().join("pebble.json").display().to_string();
        let dns = format!("127.0.0.1:{}", self.dns.port);
        let mut args = variables.to_vec();
        args.extend([program.display().to_string(), "-config".into(), config, "-dnsserver".into(), dns]);
        let log = self.dir.path().join("log");
        let scratch = Some(self.dir.path());
        let server = GuardedServer::spawn("/usr/bin/env".as_ref(), &args, None, "TERM", &log, scratch);
        let mut server = server.expect("start pebble");
        let is_ready = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        server.wait_until(&log, is_ready).unwrap_or_else(|error| panic!("pebble did not start: {error}"));
        self.server = Some(server);
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// The URL of the directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

// === impl PebbleConfig ===

impl PebbleConfig {
    /// The properties with this certificate and key, for a service on these ports. A twentieth of
    /// the nonces is refused, and half of the valid authorizations is used again, as by default.
    #[must_use]
    pub fn new(certificate: String, key: String, http_port: u16, tls_port: u16) -> Self {
        Self {
            certificate,
            key,
            http_port,
            tls_port,
            validity: Duration::from_secs(90 * 24 * 3600),
            refused_nonces: 5,
            reused_authorizations: 50,
            blocked: Vec::new(),
            external_account: None,
        }
    }
}

// === impl Names ===

impl Names {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind a port");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set a timeout");
        let port = socket.local_addr().expect("its address").port();
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut query = [0; 1500];
            while !flag.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut query) else { continue };
                if let Some(answer) = answer(&query[..length]) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { port, ended, thread: Some(thread) }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The answer to a query (RFC 1035 §4.1): 127.0.0.1 for addresses, and nothing for other types.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(12..end + 5)?;
    let asks_for_address = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(asks_for_address), 0, 0, 0, 0]);
    answer.extend(question);
    if asks_for_address {
        // The name at byte 12, an address, for no time.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("pebble")).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_loopback_address() {
        let names = Names::start();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        let ask = |kind: u8| {
            let mut query = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(b"\x01a\x04test\x00\x00");
            query.extend([kind, 0, 1]);
            socket.send_to(&query, ("127.0.0.1", names.port)).unwrap();
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].to_vec()
        };
        assert!(ask(1).ends_with(&[127, 0, 0, 1]));
        assert_eq!(ask(28)[6..8], [0, 0]);
        assert_eq!(answer(&[0; 5]), None);
    }
}
