//! The load: the same request on many connections, or one request for each file on one connection.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dunlin_testkit::raw::{self, Connection};

use super::Work;

/// The requests of a measurement.
pub(super) struct Load {
    pub(super) requests: f64,
    /// Requests per second.
    pub(super) rate: f64,
}

/// Repeats the request of `work` with wrk.
pub(super) fn repeat(addr: SocketAddr, work: &Work, time: Duration) -> Result<Load> {
    let mut args = Vec::new();
    for (name, value) in work.fields {
        args.extend(["-H".to_owned(), format!("{name}: {value}")]);
    }
    args.push(format!("http://{addr}{}", work.path));
    wrk(work.name, work.connections, time, &args)
}

/// Runs wrk with these further arguments. Fails if a response is not a success.
pub(super) fn wrk(work: &str, connections: u32, time: Duration, args: &[String]) -> Result<Load> {
    let (connections, time) = (format!("-c{connections}"), format!("-d{}s", time.as_secs()));
    let out = Command::new("taskset").args(["-c", "1", "wrk", "-t1", &connections, &time]).args(args).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx")) {
        bail!("{work}: {}", line.trim());
    }
    let word_before =
        |mark: &str| text.lines().find(|line| line.contains(mark))?.split_whitespace().next()?.parse().ok();
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    let load = word_before(" requests in ").zip(rate).map(|(requests, rate)| Load { requests, rate });
    load.with_context(|| format!("unexpected output of wrk:\n{text}"))
}

/// Sends one request of `work` for each of `numbers`, in turn on one connection.
pub(super) fn each(addr: SocketAddr, work: &Work, numbers: std::ops::Range<usize>) -> Result<Load> {
    let mut connection = Connection::open(addr);
    let (start, requests) = (Instant::now(), numbers.len() as f64);
    for number in numbers {
        connection.send_request("GET", &work.target(number), work.fields, b"");
        let response = connection.read("GET")?;
        ensure!(response.status == 200, "{}: {}", work.name, response.status);
    }
    Ok(Load { requests, rate: requests / start.elapsed().as_secs_f64() })
}

/// The length of the content of `work`, in bytes.
pub(super) fn size(addr: SocketAddr, work: &Work) -> usize {
    raw::request(addr, "GET", &work.target(0), work.fields, b"").body.len()
}
