//! Many watchers of one result, and the time in which each change reaches them.
//!
//! `cargo run --release --example watchers -- 127.0.0.1:8080 /clock 1000 20` watches `/clock` over
//! 1,000 connections for 20 s. The result has the time of its last change, in seconds since 1970:
//! `{"t":1700000000.25}`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A change, with the time that it took to one watcher, in seconds.
type Arrival = (String, f64);

async fn watch(addr: String, path: String, arrivals: UnboundedSender<Arrival>) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(&addr).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).await?;
        #[allow(clippy::disallowed_methods, reason = "the clock of the database is compared")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if count == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&buffer[..count]);
        if let Some((_, rest)) = text.split_once("\"t\":") {
            let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            if let Ok(changed) = number.parse::<f64>() {
                let _ = arrivals.send((number, now - changed));
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut arg = |default: &str| args.next().unwrap_or_else(|| default.to_owned());
    let (addr, path) = (arg("127.0.0.1:8080"), arg("/clock"));
    let (count, seconds): (usize, u64) = (arg("1000").parse()?, arg("20").parse()?);
    let (sender, mut arrivals) = unbounded_channel();
    for index in 0..count {
        let watching = watch(addr.clone(), path.clone(), sender.clone());
        tokio::spawn(async move {
            if let Err(error) = watching.await {
                eprintln!("{error}");
            }
        });
        if index % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    println!("{count} watchers");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut changes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    while let Ok((change, took)) = arrivals.try_recv() {
        changes.entry(change).or_default().push(took * 1000.0);
    }
    // The first result is as old as it is.
    for (change, mut times) in changes.into_iter().skip(1) {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!("{change}: {} got it; ms: p50 {:.1}, p99 {:.1}, max {:.1}", times.len(), at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}
