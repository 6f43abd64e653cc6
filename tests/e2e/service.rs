//! The service under test: the real binary with a configuration in a folder of its own.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use dunlin_testkit::{eventually, free_port, raw};
use tempfile::TempDir;

/// A running service; it is killed when it is dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    folder: Folder,
}

/// A folder with a `dunlin.toml` and what it refers to.
pub(crate) struct Folder(TempDir);

/// The service's executable. Cargo is asked, so that it is never an old one.
pub(crate) fn executable() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "dunlin", "--bin", "dunlin", "--message-format=json-render-diagnostics"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        // These variables of this test's own package would make build scripts run again.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                cargo.env_remove(name);
            }
        }
        let out = cargo.stderr(Stdio::inherit()).output().expect("cargo starts");
        assert!(out.status.success(), "the service does not build");
        let messages = String::from_utf8_lossy(&out.stdout);
        let executable = messages.lines().rev().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(PathBuf::from(message.get("executable")?.as_str()?))
        });
        executable.expect("cargo built an executable")
    })
}

/// The table `[database]` for a database that is up, with time limits for a busy machine.
pub(crate) fn database_at(url: &str) -> String {
    let keys = ["connect_timeout", "acquire_timeout", "statement_timeout"].map(|key| format!("{key} = \"1m\"\n"));
    format!("[database]\nurl = \"{url}\"\n{}", keys.concat())
}

/// Runs the executable to its end, without a database in its environment.
pub(crate) fn dunlin(args: &[&str], folder: &Folder) -> Output {
    let mut dunlin = Command::new(executable());
    dunlin.args(args).current_dir(folder.path()).env_remove("DATABASE_URL").stdin(Stdio::null());
    dunlin.output().expect("dunlin starts")
}

// === impl Folder ===

impl Folder {
    /// A folder with this `dunlin.toml`.
    pub(crate) fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("make a folder"));
        folder.write("dunlin.toml", config);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("make a folder");
        std::fs::write(path, content).expect("write a file");
    }
}

// === impl Service ===

impl Service {
    /// Starts a service with these tables and routes, on free ports, and waits until it answers.
    pub(crate) fn start(config: &str) -> Self {
        Self::with("", config, |_| ())
    }

    /// As [`Service::start`], with keys for `[server]`, and files that `prepare` writes first.
    pub(crate) fn with(server: &str, config: &str, prepare: impl FnOnce(&Folder)) -> Self {
        let (addr, admin) = (free_addr(), free_addr());
        let config =
            format!("[server]\nlisten = \"{addr}\"\nworkers = 2\n{server}\n[admin]\nlisten = \"{admin}\"\n{config}");
        let folder = Folder::new(&config);
        prepare(&folder);
        Self::of(folder, addr, admin)
    }

    /// Starts a service in a folder, whose configuration has these addresses.
    pub(crate) fn of(folder: Folder, addr: SocketAddr, admin: SocketAddr) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).expect("make a log");
        let mut command = Command::new(executable());
        command.arg("serve").current_dir(folder.path()).env_remove("DATABASE_URL");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share the log")).stderr(log);
        let child = command.spawn().expect("dunlin starts");
        let mut service = Self { child, addr, admin, folder };
        eventually("the service answers", || {
            assert!(service.child.try_wait().expect("ask").is_none(), "it ended:\n{}", service.log());
            std::net::TcpStream::connect(service.admin).is_ok() && raw::get(service.admin, "/healthz").status == 200
        });
        service
    }

    /// GET.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> raw::Response {
        raw::get(self.addr, target)
    }

    /// GET with fields.
    #[track_caller]
    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> raw::Response {
        raw::request(self.addr, "GET", target, headers, b"")
    }

    /// Any method, with a JSON body when there is one.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, target: &str, body: &str) -> raw::Response {
        let json = [("Content-Type", "application/json")];
        raw::request(self.addr, method, target, if body.is_empty() { &[] } else { &json }, body.as_bytes())
    }

    /// GETs JSON from the body of a 200.
    #[track_caller]
    pub(crate) fn json(&self, target: &str) -> serde_json::Value {
        let response = self.get(target);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        serde_json::from_slice(&response.body).expect("JSON")
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Everything it has written so far.
    pub(crate) fn log(&self) -> String {
        let mut log = String::new();
        let file = std::fs::File::open(self.folder.path().join("log"));
        file.and_then(|mut file| file.read_to_string(&mut log)).expect("read the log");
        log
    }

    /// A figure of `/proc/PID/status`, in bytes: `VmRSS`, the memory now, or `VmHWM`, its peak.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure of that name");
        line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// The number of its open descriptors.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// The number of its threads.
    #[cfg(target_os = "linux")]
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs").count()
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for its end and gives the exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        eventually("the service ends", || self.child.try_wait().expect("ask").is_some());
        self.child.wait().expect("its status").code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Asserts that a configuration was refused, with a message that has each of these parts.
#[track_caller]
pub(crate) fn refused(out: &Output, expect: &[&str]) {
    let message = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{message}");
    for part in expect {
        assert!(message.contains(part), "{part:?} is not in:\n{message}");
    }
}

/// Asserts a problem document of this status, and gives it.
#[track_caller]
pub(crate) fn problem(response: &raw::Response, status: u16) -> serde_json::Value {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let document: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(document["status"], status);
    document
}
