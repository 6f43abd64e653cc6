//! The log, and readers that do not read it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_testkit::{eventually, raw};

use crate::service::{Folder, executable, free_addr};

#[test]
fn an_unread_log_stops_neither_requests_nor_the_end() {
    let addr = free_addr();
    let config = format!(
        "[server]\nlisten = \"{addr}\"\nworkers = 2\ndrain = \"2s\"\n[[route]]\npath = \"/{{*rest}}\"\ntext = \"hello\"\n"
    );
    let folder = Folder::new(&config);
    let mut command = Command::new(executable());
    command.arg("serve").current_dir(folder.path()).env_remove("DATABASE_URL").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = child.stderr.take().unwrap();
    eventually("it answers", || std::net::TcpStream::connect(addr).is_ok());
    // A pipe takes 64 KiB, and the service holds some megabytes: far less than these lines.
    let target = format!("/{}", "x".repeat(4000));
    let mut connection = raw::Connection::open(addr);
    for _ in 0..3000 {
        connection.send_request("GET", &target, &[], b"");
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    // A reader that reads again gets what was held, and learns how much was not.
    let mut text = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while !String::from_utf8_lossy(&text).contains("log lines were dropped") {
        let count = log.read(&mut chunk).unwrap();
        assert!(count > 0, "the log ended");
        text.drain(..text.len().saturating_sub(1024));
        text.extend_from_slice(&chunk[..count]);
    }
    for _ in 0..3000 {
        connection.send_request("GET", &target, &[], b"");
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    drop(connection);
    let begun = Instant::now();
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    eventually("it ends, though its log is full", || child.try_wait().unwrap().is_some());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(child.wait().unwrap().success());
}
