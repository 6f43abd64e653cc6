//! `rediss://`.

use std::time::{Duration, Instant};

use dunlin_cache_redis::{Config, RedisStore};
use dunlin_testkit::Redis;

/// Returns `true` if the store connects and subscribes within `patience`.
fn connects(config: Config, patience: Duration) -> bool {
    let store = RedisStore::open(config).unwrap();
    let start = Instant::now();
    while !(store.stats().connected && store.stats().listening) {
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn only_a_trusted_certificate_is_accepted() {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let redis = Redis::start_tls(&pair.cert.pem(), &pair.signing_key.serialize_pem());
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, pair.cert.pem()).unwrap();
    assert!(connects(Config { ca_file: Some(ca_file), ..Config::new(redis.tls_url()) }, dunlin_testkit::PATIENCE));

    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other_file = dir.path().join("other.pem");
    std::fs::write(&other_file, other.cert.pem()).unwrap();
    assert!(!connects(Config { ca_file: Some(other_file), ..Config::new(redis.tls_url()) }, Duration::from_secs(1)));
    let missing = Config { ca_file: Some(dir.path().join("none.pem")), ..Config::new(redis.tls_url()) };
    assert!(matches!(RedisStore::open(missing), Err(dunlin_cache_redis::Error::Certificates(..))));
}
