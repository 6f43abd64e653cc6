//! File descriptors run out: no client is refused for good, and nothing spins.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::listening::{end, under_systemd};
use crate::support::{PATIENCE, until};

#[test]
fn few_descriptors_are_shared_by_closing_who_is_idle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let child = under_systemd(UnixListener::bind(&path).unwrap().into(), "ulimit -n 64; ");
    let mut kept = Vec::new();
    for _ in 0..100 {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        kept.push(socket);
    }
    end(child);
}

/// The time that a process has computed for, in ticks of a hundredth of a second.
fn cpu(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_accepting_rests_and_goes_on_when_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    // Its own limit of connections is beyond what the system gives.
    let limits = "ulimit -n 64; export DUNLIN_MAX_CONNECTIONS=10000; ";
    let child = under_systemd(UnixListener::bind(&path).unwrap().into(), limits);
    let ask = |target: &str| {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        socket
    };
    let status = |mut socket: UnixStream| {
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(status(ask("/")), "HTTP/1.1 200");
    // None of them is idle, so none can be closed to make room.
    let busy: Vec<_> = (0..100).map(|_| ask("/wait/60000")).collect();
    let waiting = ask("/");
    let open = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    until("no descriptor is left", || open() >= 60);
    let (before, begun) = (cpu(&child), Instant::now());
    // The time in which its work is measured.
    std::thread::sleep(Duration::from_secs(1));
    let share = (cpu(&child) - before) as f64 / 100.0 / begun.elapsed().as_secs_f64();
    assert!(share < 0.2, "it spins: {share}");
    drop(busy);
    assert_eq!(status(waiting), "HTTP/1.1 200");
    assert_eq!(status(ask("/")), "HTTP/1.1 200");
    end(child);
}
