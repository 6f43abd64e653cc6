//! Files that are rewritten while they are served: every response is one version, with its own tag.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_testkit::raw;

use crate::service::{Folder, Service};

const ROUTE: &str = "[[route]]\npath = \"/static/{*path}\"\nfiles = \"public\"\ncompress = false\n";

/// A file that is held as bytes, one that the kernel sends from memory, and one that is streamed.
const NAMES: [&str; 3] = ["small.txt", "middle.txt", "large.txt"];

/// One line repeated, so that a mixture of versions shows. The length changes, too.
fn version(name: &str, n: usize) -> String {
    let lines = match name {
        "small.txt" => 100 + n % 1000,
        "middle.txt" => 4_000 + n % 30_000,
        _ => 110_000 + n % 10_000,
    };
    format!("{n:>9}\n").repeat(lines)
}

fn is_version(body: &[u8]) -> bool {
    body.chunks(10).all(|line| line == &body[..10])
}

fn tag(body: &[u8]) -> String {
    format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(body))
}

fn prepare(folder: &Folder) {
    for name in NAMES {
        folder.write(&format!("public/{name}"), version(name, 0));
    }
}

/// Runs clients while `write` writes a thousand versions of each file. `whole`: each version
/// replaces the file at once.
fn rewrite(whole: bool, write: fn(&Path, &str)) {
    let service = Service::with("", ROUTE, prepare);
    let (addr, done) = (service.addr, Arc::new(AtomicBool::new(false)));
    let all_changed = Arc::new(AtomicUsize::new(0));
    let clients = NAMES.map(|name| {
        let (done, all_changed) = (Arc::clone(&done), Arc::clone(&all_changed));
        std::thread::spawn(move || {
            let mut seen = HashSet::new();
            while !done.load(Ordering::Acquire) {
                let mut connection = raw::Connection::open(addr);
                connection.send_request("GET", &format!("/static/{name}"), &[], b"");
                // A large file that is written to in place while it is sent breaks off.
                let Ok(response) = connection.read("GET") else {
                    assert!(!whole && name == "large.txt", "{name} broke off");
                    continue;
                };
                assert_eq!(response.status, 200);
                assert!(!whole || is_version(&response.body), "{name}: a mixture of {} bytes", response.body.len());
                match response.header("etag") {
                    Some(etag) => assert_eq!(etag, tag(&response.body), "{name}"),
                    None => assert_eq!(name, "large.txt"),
                }
                if seen.insert(response.body[..10].to_vec()) && seen.len() == 2 {
                    all_changed.fetch_add(1, Ordering::Release);
                }
            }
        })
    });
    let paths: Vec<PathBuf> = NAMES.iter().map(|name| service.folder().path().join("public").join(name)).collect();
    let mut last = 0;
    // A thousand, and more where clients are slow to see any of them.
    while last < 1000 || (whole && all_changed.load(Ordering::Acquire) < NAMES.len()) {
        assert!(!clients.iter().any(JoinHandle::is_finished), "what a client found is above");
        for n in last + 1..=last + 20 {
            for (name, path) in NAMES.iter().zip(&paths) {
                // Large ones take long to write.
                if *name != "large.txt" || n % 20 == 0 {
                    write(path, &version(name, n));
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        last += 20;
    }
    done.store(true, Ordering::Release);
    clients.into_iter().for_each(|client| client.join().unwrap());
    for name in NAMES {
        dunlin_testkit::eventually("the last version is served", || {
            service.get(&format!("/static/{name}")).body == version(name, last).as_bytes()
        });
    }
}

#[test]
fn put_in_place_as_a_whole() {
    rewrite(true, |path, text| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    });
}

#[test]
fn written_in_place() {
    rewrite(false, |path, text| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        file.set_len(text.len() as u64).unwrap();
    });
}
