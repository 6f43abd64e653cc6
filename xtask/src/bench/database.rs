//! `cargo xtask bench --database`: measures queries, and compares with actix-web and
//! deadpool-postgres.
//!
//! PostgreSQL shares the load generator's core. The server has a core to itself, and often sleeps.
//! Only figures with about the same sleeps per request are comparable. If PostgreSQL could share
//! the server's core, both servers would need a third less time for the same work: responses would
//! come in larger batches, and no other core would be woken.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use dunlin_testkit::{Postgres, free_port, raw};

use super::load::{Load, wrk};
use super::process::Server;
use super::{Figure, Options, median, write};
use crate::cargo::build_release;
use crate::say;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO users SELECT n, 'User ' || n, 'user' || n || '@example.com' FROM generate_series(1, 100000) n;
ANALYZE users";

/// The work, with the path on each server. The peer has no cache.
const WORK: [(&str, &str, Option<&str>); 5] = [
    ("hello", "/", Some("/")),
    ("one row", "/one/", Some("/one/")),
    ("20 rows", "/twenty/", Some("/twenty/")),
    ("20 rows, no transaction", "/twenty/", Some("/bare/")),
    ("one row, cached", "/cached/", None),
];

/// The number of keys.
const KEYS: usize = 10_000;

pub(super) fn database(exe: &Path, folder: &Path, options: &Options) -> Result<()> {
    say("building the peer");
    let peer = build_release(&["--manifest-path", "xtask/peer/Cargo.toml", "--target-dir", "target/peer"])?;
    let postgres = Postgres::start();
    postgres.psql(USERS);
    let mut figures = vec![[Vec::new(), Vec::new()]; WORK.len()];
    for round in 1..=options.rounds {
        say(format_args!("round {round} of {}", options.rounds));
        for (at, start) in [start_dunlin, start_peer].into_iter().enumerate() {
            let exe = if at == 0 { exe } else { &peer };
            let server = start(exe, folder, &postgres.url())?;
            for ((name, ours, theirs), figures) in WORK.iter().zip(&mut figures) {
                let path = if at == 0 { Some(*ours) } else { *theirs };
                if let Some(path) = path.filter(|_| options.wants(name)) {
                    figures[at].push(measure(&server, folder, path, options.seconds)?);
                }
            }
        }
    }
    print(&figures);
    memory(exe, folder, &postgres.url())
}

fn print(figures: &[[Vec<Figure>; 2]]) {
    println!(
        "{:<26}{:>16}{:>16}{:>9}   dunlin  actix-web   sleeps per request",
        "µs of CPU per request", "dunlin", "actix-web", "ratio"
    );
    let hello = figures.first().and_then(|[ours, _]| median(ours));
    for ((name, ..), [ours, theirs]) in WORK.iter().zip(figures) {
        let Some(ours) = median(ours) else { continue };
        print!("{name:<26}{:>16.1}", ours.cpu);
        match (median(theirs), hello) {
            (Some(theirs), _) => {
                print!(
                    "{:>16.1}{:>9.2}   {:>6.0}/s  {:>6.0}/s",
                    theirs.cpu,
                    ours.cpu / theirs.cpu,
                    ours.rate,
                    theirs.rate
                );
                println!("   {:.2}  {:.2}", ours.sleeps, theirs.sleeps);
            }
            (None, Some(hello)) => println!("{:>25.2}   {:>6.0}/s  (to hello)", ours.cpu / hello.cpu, ours.rate),
            (None, None) => println!("{:>25}   {:>6.0}/s", "", ours.rate),
        }
    }
}

/// Prints the memory that a response of 100,000 rows takes while it is sent.
fn memory(exe: &Path, folder: &Path, url: &str) -> Result<()> {
    let server = start_dunlin(exe, folder, url)?;
    let _ = raw::get(server.addr(), "/one/1");
    let idle = server.memory()?;
    let size = raw::get(server.addr(), "/all").body.len();
    let peak = server.memory()?.peak.saturating_sub(idle.now);
    println!("100,000 rows, {:.1} MB: at most {:.1} MiB above idle", size as f64 / 1e6, peak as f64 / 1_048_576.0);
    Ok(())
}

fn start_dunlin(exe: &Path, folder: &Path, url: &str) -> Result<Server> {
    let addr = free_addr();
    let route = |path: &str, sql: &str, rest: &str| {
        format!("[[route]]\npath = \"{path}\"\nquery = \"SELECT * FROM users {sql}\"\n{rest}\n")
    };
    let one = "params = [\"id\"]\nrows = \"one\"";
    let config = format!(
        "[server]\nlisten = \"{addr}\"\nworkers = 1\n[log]\naccess = false\n[database]\nurl = \"{url}\"\n[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n"
    ) + &route("/one/{id}", "WHERE id = $1", one)
        + &route("/cached/{id}", "WHERE id = $1", &format!("{one}\ncache = {{ age = \"1h\", groups = [\"users\"] }}"))
        + &route("/twenty/{id}", "WHERE id BETWEEN $1 AND $1 + 19", "params = [\"id\"]")
        + &route("/all", "", "");
    write(folder, "database.toml", config)?;
    let config = folder.join("database.toml").display().to_string();
    Server::start(exe, &["serve", "--config", &config], addr, "0")
}

fn start_peer(exe: &Path, _: &Path, url: &str) -> Result<Server> {
    let addr = free_addr();
    Server::start(exe, &[&addr.to_string(), url], addr, "0")
}

fn free_addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Measures requests by wrk for `path` with random keys.
fn measure(server: &Server, folder: &Path, path: &str, seconds: u32) -> Result<Figure> {
    let key = if path.len() > 1 { format!(" .. math.random({KEYS})") } else { String::new() };
    let script = format!("request = function() return wrk.format(\"GET\", \"{path}\"{key}) end\n");
    write(folder, "keys.lua", script)?;
    let script = folder.join("keys.lua").display().to_string();
    let args = ["-s".to_owned(), script, format!("http://{}", server.addr())];
    let load = |time| wrk(path, 64, time, &args);
    load(Duration::from_secs(1))?;
    let (cpu, sleeps) = (server.cpu()?, server.sleeps()?);
    let Load { requests, rate } = load(Duration::from_secs(seconds.into()))?;
    let (cpu, sleeps) = (server.cpu()? - cpu, server.sleeps()? - sleeps);
    Ok(Figure { cpu: cpu.as_secs_f64() / requests * 1e6, rate, size: 0, sleeps: sleeps as f64 / requests })
}
