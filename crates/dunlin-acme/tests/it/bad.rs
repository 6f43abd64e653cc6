//! Authorities that misbehave, and one that says when to renew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dunlin_acme::Config;
use dunlin_testkit::Pebble;
use serde_json::json;

use crate::kit::Kit;
use crate::meddler::{Meddled, Meddler, Request, Response};

/// A configuration for pebble behind a proxy that meddles.
fn behind(
    kit: &Kit,
    meddle: impl Fn(&Request, u16, &dyn Fn() -> Response) -> Meddled + Send + Sync + 'static,
) -> Config {
    let meddler = Meddler::start(&kit.pebble, meddle);
    let ca_file = kit.storage().join("meddler.pem");
    std::fs::write(&ca_file, &meddler.certificate).unwrap();
    let mut config = kit.config();
    config.directory = meddler.directory();
    config.ca_file = Some(ca_file);
    config
}

/// The failure of an order for `a.test`, and the wait after it.
#[track_caller]
fn failure(
    reason: &str,
    meddle: impl Fn(&Request, u16, &dyn Fn() -> Response) -> Meddled + Send + Sync + 'static,
) -> (String, Duration) {
    let kit = Kit::start(|_| {});
    let keeper = kit.keeper_of(behind(&kit, meddle), &["a.test"]);
    keeper.wait("a failure", |_| {
        let stats = keeper.acme.stats();
        let counts = [("refused", stats.refused), ("unreachable", stats.unreachable), ("unusable", stats.unusable)];
        counts.contains(&(reason, 1))
    });
    assert_eq!(keeper.recorder.names(), [""; 0]);
    let status = keeper.acme.status().remove(0);
    let wait = status.next_order.unwrap().duration_since(dunlin_http::Clock::system().now()).unwrap();
    (status.error.unwrap(), wait)
}

#[test]
fn a_certificate_for_another_key_is_not_used() {
    if !Pebble::is_installed() {
        return;
    }
    let (error, _) = failure("unusable", |request, _, forward| {
        let mut response = forward();
        if request.line.contains("/certZ/") {
            let other = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
            response.body = other.cert.pem().into_bytes();
        }
        Some(response)
    });
    assert!(error.contains("the certificate is for another key"), "{error}");
}

#[test]
fn the_wait_that_a_rate_limit_asks_for_is_kept() {
    if !Pebble::is_installed() {
        return;
    }
    let (error, wait) = failure("refused", |request, _, forward| {
        let response = forward();
        if !request.line.contains("order") {
            return Some(response);
        }
        let nonce = response.fields.lines().find(|line| line.to_ascii_lowercase().starts_with("replay-nonce"));
        let fields = format!("Retry-After: 7200\r\n{}\r\n", nonce.unwrap());
        let problem = json!({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"});
        Some(Response::json("429 Too Many Requests", &fields, &problem))
    });
    assert!(error.contains("too many certificates") && error.contains("staging"), "{error}");
    assert!((7100..=7200).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn a_server_that_is_slow_or_speaks_something_else_is_unreachable() {
    if !Pebble::is_installed() {
        return;
    }
    let page = |request: &Request, _: u16, _: &dyn Fn() -> Response| {
        assert!(request.line.contains("/dir"));
        Some(Response { status: "502 Bad Gateway".into(), fields: String::new(), body: b"<html>".to_vec() })
    };
    let (error, wait) = failure("unreachable", page);
    assert!(error.contains("/dir responded with status 502"), "{error}");
    assert!(wait.as_secs() <= 13, "{wait:?}");
    let (error, _) = failure("unreachable", |_, _, _| {
        Some(Response { status: "200 OK".into(), fields: String::new(), body: b"<html>".to_vec() })
    });
    assert!(error.contains("does not speak ACME"), "{error}");
    let (error, _) = failure("unreachable", |_, _, _| {
        loop {
            std::thread::park();
        }
    });
    assert!(error.contains("did not respond within 30 s"), "{error}");
}

#[test]
fn the_authority_says_when_to_renew() {
    if !Pebble::is_installed() {
        return;
    }
    let kit = Kit::start(|_| {});
    let questions = Arc::new(AtomicUsize::new(0));
    let asked = questions.clone();
    let config = behind(&kit, move |request, port, forward| {
        if request.line.contains("/ari/") {
            // The first certificate is to be renewed now, as after an incident; later ones are not.
            let (start, end) = match asked.fetch_add(1, Ordering::Relaxed) {
                0 => ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"),
                _ => ("2090-01-01T00:00:00Z", "2090-01-02T00:00:00Z"),
            };
            let window = json!({"suggestedWindow": {"start": start, "end": end}});
            return Some(Response::json("200 OK", "Retry-After: 21600\r\n", &window));
        }
        let mut response = forward();
        if request.line.contains("/dir") {
            let mut directory: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            directory["renewalInfo"] = json!(format!("https://localhost:{port}/ari"));
            response.body = directory.to_string().into_bytes();
        }
        Some(response)
    });
    let keeper = kit.keeper_of(config, &["a.test"]);
    // Pebble does not reflect the certificate that is replaced, so the order is repeated without.
    keeper.wait("two certificates", |_| keeper.acme.stats().issued == 2 && questions.load(Ordering::Relaxed) == 2);
    assert_eq!((keeper.acme.stats().refused, keeper.acme.stats().unreachable), (0, 0));
    // A window beyond the end does not let it expire.
    let status = keeper.acme.status().remove(0);
    assert!(status.next_order.unwrap() < status.not_after.unwrap(), "{status:?}");
}
