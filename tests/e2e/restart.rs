//! Restarts of the real process under load, in each of the ways that lose no request.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_testkit::eventually;
use dunlin_testkit::raw::Connection;

use crate::service::{Folder, executable, free_addr};

/// Processes of one configuration, one after the other.
struct Processes {
    folder: Folder,
    /// The socket that a service manager would keep.
    passed: Option<TcpListener>,
    started: usize,
}

/// A process; it is killed when it is dropped.
struct Process(Child);

/// Ends the load when it is dropped.
struct Over<'a>(&'a AtomicBool);

// === impl Processes ===

impl Processes {
    fn new(server: &str) -> Self {
        let route = "[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n";
        let folder = Folder::new(&format!("[server]\nworkers = 2\n{server}\n{route}"));
        Self { folder, passed: None, started: 0 }
    }

    /// Starts the next one, and waits until it serves.
    fn start(&mut self) -> Process {
        self.started += 1;
        let log = self.folder.path().join(format!("log-{}", self.started));
        let file = std::fs::File::create(&log).unwrap();
        // A shell, for the number of the process is to be in its environment (sd_listen_fds(3)).
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve"]).arg(executable());
        command.current_dir(self.folder.path()).env_remove("DATABASE_URL");
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        if let Some(passed) = &self.passed {
            let passed = passed.as_raw_fd();
            // SAFETY: both may be called between fork and exec; the descriptor is open while `self`
            // lives.
            unsafe {
                command.pre_exec(move || match (libc::dup2(passed, 3), libc::fcntl(3, libc::F_SETFD, 0)) {
                    (3, 0) => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                })
            };
        }
        let mut process = Process(command.spawn().unwrap());
        eventually("it serves", || {
            let log = std::fs::read_to_string(&log).unwrap();
            assert!(process.0.try_wait().unwrap().is_none(), "it ended:\n{log}");
            log.contains("serving")
        });
        process
    }
}

// === impl Process ===

impl Process {
    fn terminate(&self) {
        // SAFETY: the child has not been waited for, so its number is its own.
        assert_eq!(unsafe { libc::kill(i32::try_from(self.0.id()).unwrap(), libc::SIGTERM) }, 0);
    }

    #[track_caller]
    fn ended(mut self) {
        eventually("the old process ends", || self.0.try_wait().unwrap().is_some());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Restarts ten times under load, on kept and on new connections. No request may fail.
#[track_caller]
fn restart_ten_times(addr: SocketAddr, mut processes: Processes, terminate: bool) {
    let mut process = processes.start();
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for kept in [true, true, false, false] {
            let (over, answered) = (&over, &answered);
            scope.spawn(move || ask(addr, kept, over, answered));
        }
        let _over = Over(&over);
        for _ in 0..10 {
            let before = answered.load(Ordering::Relaxed);
            let next = processes.start();
            let old = std::mem::replace(&mut process, next);
            if terminate {
                old.terminate();
            }
            old.ended();
            eventually("the load goes on", || answered.load(Ordering::Relaxed) > before + 100);
        }
    });
}

/// Asks until it is over.
fn ask(addr: SocketAddr, kept: bool, over: &AtomicBool, answered: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        let mut connection = Connection::open(addr);
        let mut used = Instant::now();
        // A client does not count on a connection that it has not used for a while.
        while used.elapsed() < Duration::from_millis(400) {
            let headers: &[_] = if kept { &[] } else { &[("Connection", "close")] };
            connection.send_request("GET", "/", headers, b"");
            let answer = connection.read("GET").expect("an answer to every request");
            assert_eq!((answer.status, &*answer.body), (200, &b"Hello, World!"[..]));
            answered.fetch_add(1, Ordering::Relaxed);
            used = Instant::now();
            if answer.header("connection") == Some("close") || over.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[test]
fn by_handing_the_sockets_over() {
    let addr = free_addr();
    let processes = Processes::new(&format!("listen = \"{addr}\"\nhandover = \"handover.sock\""));
    restart_ten_times(addr, processes, false);
}

#[test]
fn by_sharing_the_address() {
    let addr = free_addr();
    let processes = Processes::new(&format!("listen = \"{addr}\"\nreuse_port = true"));
    restart_ten_times(addr, processes, true);
}

#[test]
fn by_sockets_of_the_service_manager() {
    let passed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = passed.local_addr().unwrap();
    let processes = Processes { passed: Some(passed), ..Processes::new("listen = \"systemd:\"") };
    restart_ten_times(addr, processes, true);
}

/// The service manager starts the next process when this one has ended. So this one takes newcomers
/// in while a long exchange holds it up.
#[test]
fn newcomers_do_not_wait_for_a_drain() {
    let passed = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = passed.local_addr().unwrap();
    let mut processes = Processes { passed: Some(passed), ..Processes::new("listen = \"systemd:\"\ndrain = \"30s\"") };
    let process = processes.start();
    let mut held = Connection::open(addr);
    held.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
    let mut before = Connection::open(addr);
    before.send_request("GET", "/", &[], b"");
    assert_eq!(before.read("GET").unwrap().text(), "Hello, World!");
    process.terminate();
    eventually("the drain has begun", || before.closed());
    for _ in 0..20 {
        let begun = Instant::now();
        let mut newcomer = Connection::open(addr);
        newcomer.send_request("GET", "/", &[], b"");
        assert_eq!(newcomer.read("GET").unwrap().text(), "Hello, World!");
        assert!(newcomer.closed(), "it is the last response of its connection");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    held.send(b"\r\n");
    assert_eq!(held.read("GET").unwrap().text(), "Hello, World!");
    process.ended();
}
