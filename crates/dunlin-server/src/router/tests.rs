use http::Method;

use super::*;

fn router(routes: &[(&[Method], &'static str)]) -> Router<&'static str> {
    let mut router = Router::new();
    for (methods, pattern) in routes {
        router.insert(methods, pattern, *pattern).unwrap();
    }
    router
}

/// `pattern name=value …`, `405 allow`, `501`, `404`.
#[track_caller]
fn check(router: &Router<&'static str>, method: &str, path: &str, expect: &str) {
    let method: Method = method.parse().unwrap();
    let actual = match router.at(&method, path) {
        Match::Found { value, params } => {
            params.iter().fold((*value).to_owned(), |text, (name, value)| format!("{text} {name}={value}"))
        }
        Match::Options { allow } => format!("204 {}", allow.to_str().unwrap()),
        Match::MethodNotAllowed { allow } => format!("405 {}", allow.to_str().unwrap()),
        Match::NotImplemented => "501".to_owned(),
        Match::NotFound => "404".to_owned(),
    };
    assert_eq!(actual, expect, "{method} {path}");
}

#[test]
fn literals_parameters_and_rests() {
    let get = &[Method::GET][..];
    let router = router(&[(get, "/"), (get, "/users/{id}"), (get, "/users/me"), (get, "/static/{*path}")]);
    check(&router, "GET", "/", "/");
    check(&router, "GET", "/users/1", "/users/{id} id=1");
    check(&router, "GET", "/users/me", "/users/me");
    check(&router, "GET", "/users/", "404");
    check(&router, "GET", "/users/1/2", "404");
    check(&router, "GET", "/static/a/b.css", "/static/{*path} path=a/b.css");
    check(&router, "GET", "/static/", "/static/{*path} path=");
    check(&router, "GET", "/static", "404");
    check(&router, "GET", "", "404");
}

#[test]
fn parameters_are_decoded_after_matching() {
    let router = router(&[(&[], "/a/{x}"), (&[], "/f/{*rest}")]);
    check(&router, "GET", "/a/b%2Fc", "/a/{x} x=b/c");
    check(&router, "GET", "/a/%C3%A4%zz", "/a/{x} x=ä%zz");
    check(&router, "GET", "/a/%FF", "/a/{x} x=\u{fffd}");
    check(&router, "GET", "/f/..%2f..", "/f/{*rest} rest=../..");
}

#[test]
fn methods() {
    let router = router(&[
        (&[Method::GET], "/x"),
        (&[Method::POST, Method::PUT], "/x"),
        (&[], "/any/{*rest}"),
        (&[Method::HEAD], "/any/{*rest}"),
    ]);
    check(&router, "HEAD", "/x", "/x");
    check(&router, "PUT", "/x", "/x");
    check(&router, "DELETE", "/x", "405 GET, POST, PUT, HEAD, OPTIONS");
    check(&router, "OPTIONS", "/x", "204 GET, POST, PUT, HEAD, OPTIONS");
    check(&router, "FROB", "/x", "501");
    check(&router, "FROB", "/y", "404");
    check(&router, "FROB", "/any/1", "/any/{*rest} rest=1");
    check(&router, "OPTIONS", "/any/1", "/any/{*rest} rest=1");
    for refused in ["TRACE", "CONNECT"] {
        check(&router, refused, "/any/1", "405 HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS");
    }
}

#[test]
fn a_parameter_may_have_another_name_for_another_method() {
    let router = router(&[(&[Method::GET], "/users/{id}"), (&[Method::DELETE], "/users/{user_id}")]);
    check(&router, "GET", "/users/1", "/users/{id} id=1");
    check(&router, "DELETE", "/users/1", "/users/{user_id} user_id=1");
}

#[test]
fn an_exact_route_has_precedence_over_an_empty_rest() {
    for order in [["/", "/{*rest}"], ["/{*rest}", "/"]] {
        let router = router(&[(&[], order[0]), (&[], order[1])]);
        check(&router, "GET", "/", "/");
        check(&router, "GET", "/a", "/{*rest} rest=a");
    }
}

#[test]
fn the_first_segment_that_differs_decides_in_any_order() {
    let patterns =
        ["/a/{x}", "/a/{*rest}", "/a/b", "/{x}/b", "/{x}/b/c", "/{*all}", "/a/{x}/e", "/f/{x}.png", "/f/{*rest}"];
    let get = &[Method::GET][..];
    let mut orders = vec![patterns.to_vec(), patterns.iter().rev().copied().collect()];
    orders.extend((1..patterns.len()).map(|at| [&patterns[at..], &patterns[..at]].concat()));
    for order in orders {
        let router = router(&order.iter().map(|pattern| (get, *pattern)).collect::<Vec<_>>());
        check(&router, "GET", "/a/b", "/a/b");
        check(&router, "GET", "/a/c", "/a/{x} x=c");
        check(&router, "GET", "/a/", "/a/{*rest} rest=");
        check(&router, "GET", "/a/c/d", "/a/{*rest} rest=c/d");
        check(&router, "GET", "/a/c/e", "/a/{x}/e x=c");
        // `/{x}/b/c` matches too, and its first segment has a lower rank.
        check(&router, "GET", "/a/b/c", "/a/{*rest} rest=b/c");
        check(&router, "GET", "/z/b", "/{x}/b x=z");
        check(&router, "GET", "/z/b/c", "/{x}/b/c x=z");
        check(&router, "GET", "/z/c", "/{*all} all=z/c");
        check(&router, "GET", "/f/a.png", "/f/{x}.png x=a");
        check(&router, "GET", "/f/a.jpg", "/f/{*rest} rest=a.jpg");
        check(&router, "GET", "/", "/{*all} all=");
        check(&router, "POST", "/a/c", "405 GET, HEAD, OPTIONS");
    }
}

#[test]
fn the_path_decides_before_the_method() {
    let router = router(&[(&[Method::GET], "/a/{x}"), (&[Method::POST], "/a/{*rest}")]);
    check(&router, "GET", "/a/1", "/a/{x} x=1");
    check(&router, "POST", "/a/1", "405 GET, HEAD, OPTIONS");
    check(&router, "POST", "/a/1/2", "/a/{*rest} rest=1/2");
    check(&router, "GET", "/a/1/2", "405 POST, OPTIONS");
}

#[test]
fn clashes_name_both() {
    for (first, second, message) in [
        ("/users/{id}", "/users/{name}", "GET /users/{name} clashes with GET /users/{id}"),
        ("/a", "/a", "GET /a clashes with GET /a"),
        ("/a/x{y}", "/a/{y}z", "/a/{y}z clashes with /a/x{y}"),
    ] {
        let mut router = Router::new();
        router.insert(&[Method::GET], first, ()).unwrap();
        assert_eq!(router.insert(&[Method::GET, Method::POST], second, ()).unwrap_err().to_string(), message);
    }
}

#[test]
fn malformed_patterns() {
    for pattern in ["", "a", "/{", "/{}", "/{*}", "/{*rest}/a", "/a{*rest}", "/{x}/{x}", "/{x}{y}"] {
        let message = Router::new().insert(&[], pattern, ()).unwrap_err().to_string();
        assert!(message.contains("is not a pattern"), "{pattern}: {message}");
    }
}
