//! `cargo xtask run`: builds the service, starts a database, and serves the demo.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo::{build_release, root};
use crate::postgres::Database;
use crate::{say, signals};

pub(crate) fn run(args: &[String]) -> Result<()> {
    say("building the release (the first time takes some minutes)");
    let exe = build_release(&["--package", "dunlin"])?;
    signals::catch();
    let database = Database::open()?;
    let mut serve = Command::new(exe);
    serve.arg("serve").arg("--config").arg(root().join("apps/dunlin/demo/dunlin.toml")).args(args);
    if let Some(url) = database.url() {
        serve.env("DATABASE_URL", url);
    }
    end_with_parent(&mut serve);
    let mut service = serve.spawn().context("the service did not start")?;
    let status = wait(&mut service, args, &database);
    drop(database);
    status
}

/// Waits for the end of the service. Passes on the signals that end it.
fn wait(service: &mut Child, args: &[String], database: &Database) -> Result<()> {
    let started = Instant::now();
    let mut has_announced = false;
    loop {
        if let Some(status) = service.try_wait()? {
            if !status.success() {
                bail!("the service ended: {status}");
            }
            return Ok(());
        }
        if let Some(signal) = signals::take() {
            let pid = i32::try_from(service.id()).unwrap_or_default();
            // SAFETY: the child has not been waited for, so that its number is not used again.
            unsafe { libc::kill(pid, signal) };
        }
        if !has_announced && (is_healthy() || started.elapsed() > Duration::from_secs(10)) {
            has_announced = true;
            announce(args, database);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Puts the service into a process group of its own, so that each signal reaches it once, from this
/// process. If this process is killed, the service drains and ends.
fn end_with_parent(serve: &mut Command) {
    serve.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: prctl is safe to call between fork and exec.
    unsafe {
        serve.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}

const ADMIN: &str = "127.0.0.1:8081";

fn is_healthy() -> bool {
    let probe = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect(ADMIN)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut status_line = [0; 12];
        socket.read_exact(&mut status_line)?;
        Ok(status_line.ends_with(b"200"))
    };
    probe().unwrap_or(false)
}

fn announce(args: &[String], database: &Database) {
    let listen = args.windows(2).rev().find(|pair| pair[0] == "--listen").map(|pair| pair[1].as_str());
    let base = format!("http://{}", listen.unwrap_or("127.0.0.1:8080"));
    eprintln!();
    eprintln!("  dunlin is running");
    eprintln!("  {base}/            the demo page");
    eprintln!("  {base}/users/1     a row of PostgreSQL as JSON");
    eprintln!("  http://{ADMIN}/            status, health and metrics");
    if let Database::Private(cluster) = database {
        eprintln!("  psql -h {} -U postgres demo", cluster.socket().display());
    }
    eprintln!("  Ctrl-C ends the service and its database.");
    eprintln!();
}
