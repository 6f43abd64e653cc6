//! `cargo xtask bench`: measures the service and nginx on the same work, in one run.
//!
//! One server at a time has the first core to itself. The load generator (wrk) has the second.
//! Rounds interleave the servers, so that a drift of the machine affects all of them alike. The
//! figure that lasts is the ratio of CPU time per request: the server's user and system time,
//! divided by its requests. The generator limits the throughput.

mod database;
mod load;
mod process;
mod scale;
mod servers;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::build_release;
use crate::say;
use process::Server;
use servers::Kind;

/// A kind of work: the request, and the number of connections.
struct Work {
    name: &'static str,
    /// The path. With `*`, each request is for another file, which the server has not read yet.
    path: &'static str,
    connections: u32,
    fields: &'static [(&'static str, &'static str)],
}

const GZIP: &[(&str, &str)] = &[("Accept-Encoding", "gzip")];

const WORK: [Work; 10] = [
    Work { name: "hello", path: "/", connections: 64, fields: &[] },
    Work { name: "static 4 KB", path: "/static/small.css", connections: 64, fields: &[] },
    Work { name: "static 88 KB", path: "/static/medium.js", connections: 64, fields: &[] },
    Work { name: "static 10 MB", path: "/static/big.bin", connections: 8, fields: &[] },
    Work { name: "88 KB, gzip", path: "/static/medium.js", connections: 64, fields: GZIP },
    Work { name: "88 KB, gzip, first time", path: "/static/first/*.js", connections: 1, fields: GZIP },
    Work { name: "13 KB from the cache", path: "/cached/rows", connections: 64, fields: &[] },
    Work { name: "13 KB, cached, gzip", path: "/cached/rows", connections: 64, fields: GZIP },
    Work { name: "13 KB proxied, gzip", path: "/proxied/rows", connections: 64, fields: GZIP },
    Work { name: "a connection per request", path: "/", connections: 64, fields: &[("Connection", "close")] },
];

/// The first of the files for the warm-up. The files before it are measured.
const WARM_UP: usize = servers::FILES - 40;

/// The figures of one measurement.
#[derive(Clone, Copy)]
struct Figure {
    /// Microseconds of CPU time per request.
    cpu: f64,
    /// Requests per second.
    rate: f64,
    /// The length of a response's content, in bytes.
    size: usize,
    /// The waits of the server's threads per request.
    sleeps: f64,
}

/// The arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measurements of each kind of work; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Only the work whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Instead: queries, compared with actix-web and deadpool-postgres
    #[arg(long)]
    database: bool,
    /// Instead: two loops against one, and hello's latency beside 15,000 idle connections
    #[arg(long, conflicts_with = "database")]
    scale: bool,
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    for (program, purpose) in
        [("wrk", "the load generator"), ("nginx", "the peer"), ("taskset", "to pin each to a core")]
    {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output()?.status.success();
        if !found {
            bail!("{program} is missing ({purpose}): apt-get install wrk nginx util-linux");
        }
    }
    say("building the release");
    let exe = build_release(&["--package", "dunlin"])?;
    let folder = tempfile::Builder::new().prefix("dunlin-bench-").tempdir_in("/var/tmp")?;
    if options.scale {
        return scale::scale(&exe, folder.path(), options.rounds, options.seconds);
    }
    // This process stays off the server's core.
    let own = std::process::id().to_string();
    ensure!(
        Command::new("taskset").args(["-cp", "1", &own]).output()?.status.success(),
        "cannot pin to the second core: the benchmark needs two"
    );
    if options.database {
        return database::database(&exe, folder.path(), options);
    }
    servers::write_files(folder.path())?;
    let origin = servers::origin(folder.path())?;
    let kinds = [Kind::Dunlin(exe), Kind::Nginx];
    let mut figures = vec![[Vec::new(), Vec::new()]; WORK.len()];
    for round in 1..=options.rounds {
        say(format_args!("round {round} of {}", options.rounds));
        for (at, kind) in kinds.iter().enumerate() {
            let server = kind.start(folder.path(), origin.addr())?;
            for (work, figures) in WORK.iter().zip(&mut figures) {
                if options.wants(work.name) {
                    figures[at].push(measure(&server, work, options.seconds)?);
                }
            }
        }
    }
    print(&figures);
    Ok(())
}

// === impl Options ===

impl Options {
    fn wants(&self, work: &str) -> bool {
        self.only.as_ref().is_none_or(|only| work.contains(only))
    }
}

// === impl Work ===

impl Work {
    /// The request target with this number.
    fn target(&self, number: usize) -> String {
        self.path.replace('*', &number.to_string())
    }
}

/// Warms the server up, and measures it.
fn measure(server: &Server, work: &Work, seconds: u32) -> Result<Figure> {
    let addr = server.addr();
    let (warm, measured) = (WARM_UP..servers::FILES, 1..WARM_UP);
    let load = |time, files| match work.path.contains('*') {
        true => load::each(addr, work, files),
        false => load::repeat(addr, work, Duration::from_secs(time)),
    };
    let size = load::size(addr, work);
    load(1, warm)?;
    let (cpu, sleeps) = (server.cpu()?, server.sleeps()?);
    let load::Load { requests, rate } = load(seconds.into(), measured)?;
    // The count of a thread is lost when it ends.
    let (cpu, sleeps) = (server.cpu()? - cpu, server.sleeps()?.saturating_sub(sleeps));
    Ok(Figure { cpu: cpu.as_secs_f64() / requests * 1e6, rate, size, sleeps: sleeps as f64 / requests })
}

fn print(figures: &[[Vec<Figure>; 2]]) {
    println!(
        "{:<26}{:>16}{:>16}{:>9}   dunlin     nginx       bytes",
        "µs of CPU per request", "dunlin", "nginx", "ratio"
    );
    for (work, [ours, theirs]) in WORK.iter().zip(figures) {
        let (Some(ours), Some(theirs)) = (median(ours), median(theirs)) else { continue };
        print!("{:<26}{:>16.1}{:>16.1}{:>9.2}", work.name, ours.cpu, theirs.cpu, ours.cpu / theirs.cpu);
        print!("   {:>6.0}/s  {:>6.0}/s", ours.rate, theirs.rate);
        println!(
            "   {}",
            if ours.size == theirs.size { ours.size.to_string() } else { format!("{} {}", ours.size, theirs.size) }
        );
    }
}

fn median(figures: &[Figure]) -> Option<Figure> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    sorted.get(sorted.len() / 2).copied()
}

/// Writes a file of the benchmark.
fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))
}
