//! Orders at pebble, an ACME server for tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bad;
mod kit;
mod meddler;

use std::time::Duration;

use dunlin_acme::{Acme, ChallengeKind, ExternalAccount};
use dunlin_testkit::Pebble;

use kit::{Kit, Recorder};

#[test]
fn a_certificate_comes_by_http_01_and_a_restart_orders_none() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|_| {});
    let first = kit.keeper(&["a.test", "b.test"]);
    first.wait("two certificates", |_| first.acme.stats().issued == 2);
    assert_eq!(first.recorder.names(), ["a.test", "b.test"]);
    let status = first.acme.status();
    assert!(status[0].issuer.as_ref().is_some_and(|issuer| issuer.contains("Pebble")), "{status:?}");
    assert!(status[0].next_order.is_some() && status[0].error.is_none(), "{status:?}");
    drop(first);
    // They are there before anything runs.
    let recorder = Recorder::default();
    let second = Acme::new(kit.config(), ["a.test"], recorder.clone()).unwrap();
    assert_eq!(recorder.names(), ["a.test"]);
    assert!(second.status()[0].next_order.is_some());
}

#[test]
fn a_certificate_comes_by_tls_alpn_01() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|config| config.reused_authorizations = 0);
    let mut config = kit.config();
    config.challenge = ChallengeKind::TlsAlpn01;
    let keeper = kit.keeper_of(config, &["a.test"]);
    keeper.wait("a certificate", |_| keeper.acme.stats().issued == 1);
    assert_eq!(keeper.recorder.names(), ["a.test"]);
}

#[test]
fn instances_that_share_the_storage_order_once_and_answer_for_each_other() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|config| config.reused_authorizations = 0);
    // The authority reaches one of the three, and each may be the one that orders.
    let keepers: Vec<_> = (0..3).map(|_| kit.keeper(&["a.test", "b.test", "c.test"])).collect();
    for keeper in &keepers {
        keeper.wait("all certificates", |recorder| recorder.names() == ["a.test", "b.test", "c.test"]);
    }
    let issued = || keepers.iter().map(|keeper| keeper.acme.stats().issued).sum::<u64>();
    dunlin_testkit::eventually("the orders are counted", || issued() >= 3);
    assert_eq!(issued(), 3);
    let failed = keepers.iter().map(|keeper| keeper.acme.stats().refused).sum::<u64>();
    assert_eq!(failed, 0);
}

#[test]
fn a_short_certificate_is_renewed_and_the_names_can_change() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|config| config.validity = Duration::from_secs(12));
    let keeper = kit.keeper(&["a.test"]);
    keeper.wait("three certificates", |_| keeper.acme.stats().issued >= 3);
    keeper.acme.set_names(["b.test"]).unwrap();
    keeper.wait("the other name", |recorder| recorder.names() == ["b.test"]);
    assert!(keeper.acme.set_names(["*.test"]).is_err());
    assert_eq!(keeper.acme.status().len(), 1);
}

#[test]
fn an_authority_that_is_away_is_asked_again() {
    if !Pebble::is_installed() {
        return;
    }
    let mut kit = Kit::start(|_| {});
    kit.pebble.stop();
    let keeper = kit.keeper(&["a.test"]);
    keeper.wait("a failure", |_| keeper.acme.stats().unreachable == 1);
    let status = &keeper.acme.status()[0];
    assert!(status.error.as_ref().is_some_and(|error| error.contains("cannot be reached")), "{status:?}");
    assert!(status.next_order.is_some(), "{status:?}");
    kit.pebble.restart();
    keeper.wait("a certificate", |recorder| recorder.names() == ["a.test"]);
    assert_eq!(keeper.acme.status()[0].error, None);
}

#[test]
fn an_authority_that_forgot_the_account_gets_a_new_one() {
    if !Pebble::is_installed() {
        return;
    }
    let mut kit = Kit::start(|_| {});
    let keeper = kit.keeper(&["a.test"]);
    keeper.wait("a certificate", |recorder| recorder.names() == ["a.test"]);
    kit.pebble.restart();
    keeper.acme.set_names(["b.test"]).unwrap();
    keeper.wait("a refusal", |_| keeper.acme.stats().refused == 1);
    let error = keeper.acme.status()[0].error.clone().unwrap_or_default();
    assert!(error.contains("accountDoesNotExist") && error.contains("a new account"), "{error}");
    kit.retry_now("b.test");
    keeper.wait("a certificate", |recorder| recorder.names() == ["b.test"]);
}

#[test]
fn a_refusal_says_why_and_is_kept_over_a_restart() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|config| config.blocked = vec!["blocked.test".into()]);
    let keeper = kit.keeper(&["blocked.test", "a.test"]);
    // One name that is refused keeps no other one from its certificate.
    keeper.wait("the other certificate", |recorder| recorder.names() == ["a.test"]);
    keeper.wait("a refusal", |_| keeper.acme.stats().refused == 1);
    let error = keeper.acme.status()[0].error.clone().unwrap_or_default();
    assert!(error.contains("rejectedIdentifier"), "{error}");
    drop(keeper);
    let again = kit.keeper(&["blocked.test"]);
    let status = &again.acme.status()[0];
    assert!(status.next_order.is_some() && status.error.is_some(), "{status:?}");
}

#[test]
fn a_service_that_the_authority_cannot_reach_is_told_so() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|config| config.http_port = dunlin_testkit::free_port());
    let keeper = kit.keeper(&["a.test"]);
    keeper.wait("a refusal", |_| keeper.acme.stats().refused == 1);
    let error = keeper.acme.status()[0].error.clone().unwrap_or_default();
    assert!(error.contains("the authority has to reach this service"), "{error}");
    // The answer of the challenge is gone.
    assert_eq!(kit.files("challenges").len(), 0);
}

#[test]
fn an_external_account_is_bound() {
    if !Pebble::is_installed() {
        return;
    }
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let kit = Kit::start(|config| config.external_account = Some(("kid-1".into(), key.into())));
    let without = kit.keeper(&["a.test"]);
    without.wait("a refusal", |_| without.acme.stats().refused == 1);
    let error = without.acme.status()[0].error.clone().unwrap_or_default();
    assert!(error.contains("set the external account"), "{error}");
    drop(without);
    let mut config = kit.config();
    config.external_account = Some(ExternalAccount::new("kid-1", key).unwrap());
    let with = kit.keeper_of(config, &["b.test"]);
    with.wait("a certificate", |recorder| recorder.names() == ["b.test"]);
}

#[test]
fn a_storage_that_cannot_be_written_is_named_and_broken_files_are_replaced() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|_| {});
    let mut config = kit.config();
    config.storage = kit.storage().join("file");
    std::fs::write(&config.storage, "no folder").unwrap();
    let keeper = kit.keeper_of(config, &["a.test"]);
    keeper.wait("a failure", |_| keeper.acme.stats().storage == 1);
    let error = keeper.acme.status()[0].error.clone().unwrap_or_default();
    assert!(error.contains("file") && error.contains("make it writable"), "{error}");
    drop(keeper);

    let keeper = kit.keeper(&["a.test"]);
    keeper.wait("a certificate", |recorder| recorder.names() == ["a.test"]);
    for broken in ["certificates/a.test.pem", "account.json"] {
        std::fs::write(kit.file(broken), "broken").unwrap();
    }
    keeper.wait("another order", |_| keeper.acme.stats().issued == 2);
    // The old one stayed in use meanwhile.
    assert!(keeper.recorder.was_never_empty());
}

#[test]
fn wrong_settings_are_errors() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut dunlin_acme::Config), name: &str, expect: &str) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = dunlin_acme::Config::new(folder.path());
        change(&mut config);
        let error = Acme::new(config, [name], Recorder::default()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    check(|_| {}, "*.a.test", "wildcard");
    check(|config| config.directory = "http://a.test/dir".into(), "a.test", "no https URL");
    check(|config| config.directory = "https:///dir".into(), "a.test", "no https URL");
    check(|config| config.ca_file = Some("/no/such/file".into()), "a.test", "/no/such/file");
}
