//! `cargo xtask bench --scale`: compares two loops with one, and many idle connections with none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::Server;
use super::servers::scale_config;
use super::{say, write};

/// The number of idle connections.
const IDLE: usize = 15_000;

/// The figures that wrk prints.
struct Load {
    requests: f64,
    rate: f64,
    /// The latency that one request in a hundred exceeds, in milliseconds.
    p99: f64,
}

pub(super) fn scale(exe: &Path, folder: &Path, rounds: usize, seconds: u32) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The generator has cores of its own if there are enough.
    let generator = if cores >= 4 { "2-3" } else { "0-1" };
    let (mut loops, mut idle) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 1..=rounds {
        say(format_args!("round {round} of {rounds}"));
        for (workers, figures) in [1, 2].into_iter().zip(&mut loops) {
            let server = start(exe, folder, workers)?;
            wrk(server.addr(), generator, 1)?;
            let before = server.cpu()?;
            let load = wrk(server.addr(), generator, seconds)?;
            figures.push(((server.cpu()? - before).as_secs_f64() / load.requests * 1e6, load.rate));
        }
        let server = start(exe, folder, 1)?;
        wrk(server.addr(), "1", 1)?;
        idle[0].push(wrk(server.addr(), "1", seconds)?.p99);
        let held = (0..IDLE).map(|_| hold(server.addr())).collect::<Result<Vec<_>>>()?;
        idle[1].push(wrk(server.addr(), "1", seconds)?.p99);
        drop(held);
    }
    let [one, two] = loops
        .map(|figures| figures.into_iter().unzip::<_, _, Vec<_>, Vec<_>>())
        .map(|(cpu, rate)| (median(cpu), median(rate)));
    println!("one loop   {:>8.2} µs of CPU per request {:>10.0} requests/s", one.0, one.1);
    println!("two loops  {:>8.2} µs of CPU per request {:>10.0} requests/s", two.0, two.1);
    println!("two for one: {:.2} by CPU, {:.2} by requests/s", 2.0 * one.0 / two.0, two.1 / one.1);
    if cores < 4 {
        println!("(the generator shares the cores on this machine and limits the requests/s of two loops)");
    }
    let [without, with] = idle.map(median);
    println!("p99 of hello {without:.2} ms, {with:.2} ms beside {IDLE} idle connections: {:.2} times", with / without);
    Ok(())
}

fn start(exe: &Path, folder: &Path, workers: usize) -> Result<Server> {
    let addr = SocketAddr::from(([127, 0, 0, 1], dunlin_testkit::free_port()));
    write(folder, "scale.toml", scale_config(addr, workers))?;
    let config = folder.join("scale.toml").display().to_string();
    let cores = if workers == 1 { "0" } else { "0-1" };
    Server::start(exe, &["serve", "--config", &config], addr, cores)
}

/// Opens a connection, sends one request, and keeps the connection.
fn hold(addr: SocketAddr) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(addr).context("is the limit of open files (ulimit -n) above 15,000?")?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let (mut response, mut piece) = (Vec::new(), [0; 1024]);
    while !response.ends_with(b"Hello, World!") {
        let n = socket.read(&mut piece)?;
        anyhow::ensure!(n > 0, "the server closed an idle connection");
        response.extend_from_slice(&piece[..n]);
    }
    Ok(socket)
}

fn wrk(addr: SocketAddr, cores: &str, seconds: u32) -> Result<Load> {
    let args = ["-c", cores, "wrk", "-t2", "-c64", "--latency", &format!("-d{seconds}s"), &format!("http://{addr}/")];
    let out = Command::new("taskset").args(args).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let load = || {
        let requests = text.lines().find(|line| line.contains(" requests in "))?.split_whitespace().next()?;
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
        let p99 = text.lines().find_map(|line| line.trim().strip_prefix("99%"))?.trim();
        let number = p99.trim_end_matches(|letter: char| letter.is_alphabetic());
        let factor = match &p99[number.len()..] {
            "us" => 0.001,
            "ms" => 1.0,
            _ => 1000.0,
        };
        let p99 = number.parse::<f64>().ok()? * factor;
        Some(Load { requests: requests.parse().ok()?, rate: rate.trim().parse().ok()?, p99 })
    };
    load().with_context(|| format!("unexpected output of wrk:\n{text}"))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
