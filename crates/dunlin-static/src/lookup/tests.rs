use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_hashed_once_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.bin");
    std::fs::write(&path, vec![7; 3_000_000]).unwrap();
    // It counts as being written for a while, and has no tag until then.
    while Stamp::of(&std::fs::metadata(&path).unwrap()).age(Clock::system().now()) < LIVE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let config = Config { max_file: 1000, memory: 4 << 20, ..Config::default() };
    let shared = Arc::new(Shared::new(Root::new(folder.path()).unwrap(), config));
    let asked: Vec<_> = (0..40)
        .map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                match shared.find("big.bin", true).await.unwrap() {
                    Known::Disk(entry, _) => entry,
                    _ => panic!("not on disk"),
                }
            })
        })
        .collect();
    let mut entries = Vec::new();
    for entry in asked {
        entries.push(entry.await.unwrap());
    }
    assert!(entries[0].identity.validators.etag.is_some());
    assert!(entries.iter().all(|entry| Arc::ptr_eq(entry, &entries[0])));
}
