//! The target of a request: one form over both protocols.

use dunlin_server::Config;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::http2::{client, get, h2c, run, send};
use crate::support::Fixture;

/// Returns the target that a handler sees of an HTTP/1.1 request. `None` if it sees none.
fn over_http1(server: &Fixture, target: &str) -> Option<String> {
    let answer = server.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    (answer.status == 200).then(|| answer.text().to_owned())
}

/// A server whose handler responds with the target.
fn server(config: Config) -> Fixture {
    let fallback = dunlin_server::Routes::new()
        .fallback(async |request: http::Request<dunlin_http::Body>| request.uri().to_string());
    Fixture::of(config, fallback)
}

#[test]
fn a_query_is_not_a_path() {
    let server = server(h2c());
    for (target, expect) in [
        ("http://a?other", Some("/?other")),
        ("http://a?hidden/page", Some("/?hidden/page")),
        ("http://a?", Some("/?")),
        ("http://a", Some("/")),
        ("HTTP://a/?b", Some("/?b")),
        ("?other", None),
        ("/a#f", None),
        ("http://a/b#f", None),
        ("a", None),
    ] {
        assert_eq!(over_http1(&server, target).as_deref(), expect, "{target}");
    }
    run(async {
        let (mut client, _connection) = client(&server).await;
        // h2's client sends the path as it is. Without a slash it is malformed.
        for target in ["http://a?other", "http://a?hidden/page"] {
            assert_eq!(send(&mut client, get(target), b"").await.unwrap().0, 400, "{target}");
        }
    });
}

#[test]
fn paths_are_normalised_by_configuration() {
    let paths = [
        ("/keep/../admin/y", "/admin/y"),
        ("/keep/%2e%2E/admin/y", "/admin/y"),
        ("/./admin/y", "/admin/y"),
        ("/%61dmin/y", "/admin/y"),
        ("//admin/y", "/admin/y"),
        ("/a%2fb/%c3%a4", "/a%2Fb/%C3%A4"),
        ("/../..", "/"),
        ("/a/b/?c=/../%61", "/a/b/?c=/../%61"),
    ];
    for normalise_paths in [true, false] {
        let server = server(Config { normalise_paths, ..h2c() });
        run(async {
            let (mut client, _connection) = client(&server).await;
            for (path, normal) in paths {
                let expect = if normalise_paths { normal } else { path };
                assert_eq!(over_http1(&server, path).as_deref(), Some(expect));
                let answer = send(&mut client, get(&format!("http://a{path}")), b"").await.unwrap();
                assert_eq!(answer, (200, expect.to_owned()));
            }
        });
    }
}

#[test]
fn both_protocols_see_the_same_target() {
    let server = server(h2c());
    let piece = prop_oneof![
        prop::sample::select(vec!["/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%61", "%zz", "%", "?", "a", ";", "~"])
            .prop_map(String::from),
        "[!$-;=@-~]{1,3}",
    ];
    let targets = prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    run(async {
        let (mut client, _connection) = client(&server).await;
        let pairs = std::cell::RefCell::new(Vec::new());
        runner
            .run(&targets, |target| {
                let seen = over_http1(&server, &target);
                if let Some(seen) = &seen {
                    let path = seen.split('?').next().unwrap();
                    prop_assert!(path.starts_with('/') && !path.contains("//"), "{target} is {seen}");
                    prop_assert!(
                        !path.split('/').any(|segment| segment == "." || segment == ".."),
                        "{target} is {seen}"
                    );
                    // Normalising is idempotent.
                    prop_assert_eq!(over_http1(&server, seen), Some(seen.clone()));
                }
                pairs.borrow_mut().push((target, seen));
                Ok(())
            })
            .unwrap();
        for (target, expect) in pairs.into_inner() {
            let Ok(uri) = format!("http://a{target}").parse::<http::Uri>() else { continue };
            let request = http::Request::get(uri).body(()).unwrap();
            let (status, text) = send(&mut client, request, b"").await.unwrap();
            assert_eq!((status == 200).then_some(text), expect, "{target}");
        }
    });
}
