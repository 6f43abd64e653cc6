//! A process without free file descriptors: no client is lost, and no thread spins.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;

use crate::listening::{end, under_systemd};
use crate::support::{PATIENCE, until};

#[test]
fn idle_connections_are_closed_if_descriptors_are_few() {
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

/// Returns `true` if every thread of a process sleeps. A thread that spins is runnable.
fn is_asleep(child: &Child) -> bool {
    std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().all(|task| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('S'))
    })
}

#[test]
fn accepting_pauses_without_descriptors_and_goes_on_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    // The configured limit of connections is higher than that of the system.
    let limits = "ulimit -n 64; export DUNLIN_MAX_CONNECTIONS=10000; ";
    let child = under_systemd(UnixListener::bind(&path).unwrap().into(), limits);
    let request = |target: &str| {
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
    assert_eq!(status(request("/")), "HTTP/1.1 200");
    // None of them is idle, so none can be closed to make room.
    let busy: Vec<_> = (0..100).map(|_| request("/wait/60000")).collect();
    let waiting = request("/");
    let open = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    until("no descriptor is left", || open() >= 60);
    until("no thread spins", || (0..20).all(|_| is_asleep(&child)));
    drop(busy);
    assert_eq!(status(waiting), "HTTP/1.1 200");
    assert_eq!(status(request("/")), "HTTP/1.1 200");
    end(child);
}
