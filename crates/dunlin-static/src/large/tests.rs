use std::time::SystemTime;

use dunlin_http::Clock;

use super::*;
use crate::Config;
use crate::root::Root;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "files on disk have the system's time")]
async fn concurrent_requests_hash_a_large_file_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big.bin"), vec![7; 3_000_000]).unwrap();
    // By this clock, the file is old enough to get a tag.
    let clock = Clock::manual(SystemTime::now() + 2 * MIN_AGE);
    let config = Config { max_file: 1000, memory: 4 << 20, clock, ..Config::default() };
    let shared = Arc::new(Shared::new(Root::new(folder.path()).unwrap(), config));
    let requests: Vec<_> = (0..40)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                match shared.find("big.bin", true).await.unwrap() {
                    Lookup::Disk(entry, _) => entry,
                    _ => panic!("not on disk"),
                }
            })
        })
        .collect();
    let mut entries = Vec::new();
    for request in requests {
        entries.push(request.await.unwrap());
    }
    assert!(entries[0].identity.validators.etag.is_some());
    assert!(entries.iter().all(|entry| Arc::ptr_eq(entry, &entries[0])));
}
