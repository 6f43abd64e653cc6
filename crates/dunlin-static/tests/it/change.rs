//! Files that change while they are served: the old version or the new one, never a mixture.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dunlin_http::Clock;
use dunlin_static::Config;
use http::{HeaderMap, Method};

use crate::support::{Site, write};

/// A file that repeats one line, so that a mixture of versions can be detected.
fn version(n: usize) -> String {
    format!("{n:>9}\n").repeat(100 + n % 3000)
}

fn is_version(text: &str) -> bool {
    let first = text.get(..10).unwrap_or_default();
    text.len().is_multiple_of(10) && text == first.repeat(text.len() / 10)
}

/// Sends requests while `write` writes a thousand versions. Returns the number of versions that
/// were served. `atomic` says that `write` replaces the file by a rename.
async fn rewrite(config: Config, atomic: bool, write: impl Fn(&std::path::Path, usize) + Send + 'static) -> usize {
    let site = Site::new(&[("a.txt", &version(0))], config);
    let (path, done) = (site.path("a.txt"), Arc::new(AtomicBool::new(false)));
    let responses = Arc::new(AtomicUsize::new(0));
    let writer = std::thread::spawn({
        let (done, responses) = (Arc::clone(&done), Arc::clone(&responses));
        move || {
            for n in 1..=1000 {
                write(&path, n);
                // At times it waits for requests, so that several versions are served.
                let before = responses.load(Ordering::Acquire);
                while n % 250 == 0 && responses.load(Ordering::Acquire) < before + 2 {
                    std::thread::yield_now();
                }
            }
            done.store(true, Ordering::Release);
        }
    });
    let mut seen = std::collections::HashSet::new();
    while !done.load(Ordering::Acquire) {
        let response = site.get("/a.txt").await;
        assert_eq!(response.status, 200);
        response.assert_sound();
        assert!(!atomic || is_version(response.text()), "a mixture: {} bytes", response.body.len());
        responses.fetch_add(1, Ordering::Release);
        seen.insert(response.field("etag").to_owned());
        tokio::task::yield_now().await;
    }
    writer.join().unwrap();
    let written = Instant::now();
    loop {
        let last = site.get("/a.txt").await;
        last.assert_sound();
        if last.text() == version(1000) {
            return seen.len();
        }
        assert!(written.elapsed() < Duration::from_secs(10), "the last version is not served");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_thousand_replacements() {
    let replace = |path: &std::path::Path, n| {
        let new = path.with_extension("new");
        fs::write(&new, version(n)).unwrap();
        fs::rename(new, path).unwrap();
    };
    let seen = rewrite(Config { seen_within: Duration::ZERO, ..Config::default() }, true, replace).await;
    assert!(seen > 1, "{seen} versions");
    rewrite(Config::default(), true, move |path, n| {
        replace(path, n);
        std::thread::sleep(Duration::from_millis(1));
    })
    .await;
}

/// A process that writes in place without a pause shows half written content, and kernels before
/// 6.13 do not always update the times. The length and the tag are those of the body all the same.
#[tokio::test]
async fn a_thousand_times_written_in_place() {
    let in_place = |path: &std::path::Path, n: usize| {
        let file = fs::File::options().write(true).open(path).unwrap();
        let text = format!("{n:>9}\n").repeat(2000);
        file.write_all_at(text.as_bytes(), 0).unwrap();
        if n == 1000 {
            fs::write(path, version(1000)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    rewrite(Config { seen_within: Duration::from_millis(200), ..Config::default() }, false, in_place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_read_a_file_once() {
    let site = Site::new(&[("a.txt", &version(7))], Config::default());
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let files = site.files.clone();
            tokio::spawn(async move { files.respond(&Method::GET, &HeaderMap::new(), "a.txt").await.body().id() })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    for request in requests {
        ids.insert(request.await.unwrap());
    }
    assert_eq!((ids.len(), ids.contains(&None)), (1, false));
}

#[tokio::test]
async fn an_entry_is_compared_with_the_disk_after_half_of_seen_within() {
    let clock = Clock::manual(SystemTime::now());
    let site = Site::new(
        &[("a.txt", "old")],
        Config { clock: clock.clone(), seen_within: Duration::from_secs(100), ..Config::default() },
    );
    assert_eq!(site.get("a.txt").await.text(), "old");
    write(&site.path("a.txt"), "newer");
    clock.advance(Duration::from_secs(49));
    assert_eq!(site.get("a.txt").await.text(), "old");
    clock.advance(Duration::from_secs(2));
    assert_eq!(site.get("a.txt").await.text(), "old", "its writer may still be writing");
    clock.advance(Duration::from_secs(40));
    assert_eq!(site.get("a.txt").await.text(), "newer");
    fs::remove_file(site.path("a.txt")).unwrap();
    clock.advance(Duration::from_secs(51));
    assert_eq!(site.get("a.txt").await.status, 404);
    assert_eq!(site.files.stats().files, 0);
    write(&site.path("a.txt"), "again");
    assert_eq!(site.get("a.txt").await.text(), "again", "a missing file is looked up on each request");
}

#[tokio::test]
async fn a_change_that_keeps_length_and_time_shows() {
    let site = Site::new(&[("a.txt", "old")], Config { seen_within: Duration::ZERO, ..Config::default() });
    let before = site.get("a.txt").await;
    let time = fs::metadata(site.path("a.txt")).unwrap().modified().unwrap();
    fs::write(site.path("a.txt"), "new").unwrap();
    fs::File::options().write(true).open(site.path("a.txt")).unwrap().set_modified(time).unwrap();
    let after = site.get("a.txt").await;
    assert_eq!((before.text(), after.text()), ("old", "new"));
    assert_ne!(before.field("etag"), after.field("etag"));
}

#[tokio::test]
async fn a_touched_file_keeps_its_body_id() {
    let site = Site::new(&[("a.txt", "old")], Config { seen_within: Duration::ZERO, ..Config::default() });
    let id = async || site.files.respond(&Method::GET, &HeaderMap::new(), "a.txt").await.body().id();
    let first = id().await;
    write(&site.path("a.txt"), "old");
    assert!(first.is_some() && id().await == first);
    write(&site.path("a.txt"), "new");
    assert_ne!(id().await, first);
}

#[tokio::test]
async fn a_switched_root_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    for release in ["one", "two"] {
        write(&folder.path().join(release).join("a.txt"), release);
    }
    let current = folder.path().join("current");
    std::os::unix::fs::symlink("one", &current).unwrap();
    let config = Config { seen_within: Duration::ZERO, ..Config::default() };
    let files = dunlin_static::Files::new(&current, config).unwrap();
    let get = || files.respond(&Method::GET, &HeaderMap::new(), "a.txt");
    assert_eq!(get().await.body().as_bytes(), Some(&b"one"[..]));
    std::os::unix::fs::symlink("two", folder.path().join("next")).unwrap();
    fs::rename(folder.path().join("next"), &current).unwrap();
    assert_eq!(get().await.body().as_bytes(), Some(&b"two"[..]));
}

/// A hot file is sealed. Its body id and its tag stay as they were.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hot_file_is_sealed_and_stays_so_after_a_change() {
    let site = Site::new(&[], Config { seen_within: Duration::ZERO, ..Config::default() });
    write(&site.path("a.txt"), version(2999).repeat(2));
    write(&site.path("small.txt"), version(1));
    let get = async |name: &str| {
        let body = site.files.respond(&Method::GET, &HeaderMap::new(), name).await.into_body();
        (body.id(), body.mapping().is_some())
    };
    let (id, mapped) = get("a.txt").await;
    assert!(id.is_some() && !mapped, "one request does not make it hot");
    let mut requests = 1;
    while get("a.txt").await != (id, true) {
        requests += 1;
        assert!(requests < 100, "it is not sealed, or has another id");
        assert_eq!(get("a.txt").await.0, id);
    }
    site.get("/a.txt").await.assert_sound();
    write(&site.path("a.txt"), version(2998).repeat(2));
    let (other, mapped) = get("a.txt").await;
    assert!(other != id && mapped, "a hot file stays hot");
    site.get("/a.txt").await.assert_sound();
    for _ in 0..40 {
        assert!(!get("small.txt").await.1, "a small file is as fast to copy");
    }
}
