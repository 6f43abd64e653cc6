//! Authentication by another service.

use dunlin_auth::{Authenticate as _, Forward, Outcome};
use dunlin_http::{Body, BoxError, ClientInfo};
use http::{HeaderName, Method, Request, Response};

use crate::{authenticate, refused, subject};

const USER: HeaderName = HeaderName::from_static("remote-user");
const GROUPS: HeaderName = HeaderName::from_static("remote-groups");

/// Responds as the cookie says.
async fn verify(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let cookie = request.headers().get("cookie").and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
    let response = Response::builder();
    let response = match cookie {
        "ada" => response.header(USER, "ada").header("x-other", "x"),
        "fail" => response.status(500),
        "unreachable" => return Err("connection refused".into()),
        "no" => response.status(403),
        _ => response
            .status(302)
            .header("location", "https://sso/?to=x")
            .header("set-cookie", "a=b")
            .header("x-other", "x"),
    };
    Ok(response.body(Body::from("text")).unwrap())
}

fn forward() -> Forward {
    Forward::new(verify, vec![USER, GROUPS])
}

fn cookie(value: &str) -> [(&'static str, String); 1] {
    [("cookie", value.to_owned())]
}

#[tokio::test]
async fn a_2xx_admits_and_its_fields_replace_the_clients() {
    let mut fields = cookie("ada").to_vec();
    fields.extend([("remote-user", "root".to_owned()), ("remote-groups", "admin".to_owned())]);
    let Outcome::Verified(verified) = authenticate(&forward(), &fields).await else { panic!("refused") };
    assert_eq!(verified.identity.subject(), Some("ada"));
    assert_eq!(verified.identity.claim("remote-groups"), None);
    let mut headers = http::HeaderMap::new();
    headers.insert(USER, "root".parse().unwrap());
    headers.insert(GROUPS, "admin".parse().unwrap());
    verified.apply(&mut headers);
    assert_eq!((headers.get(USER).unwrap().as_bytes(), headers.get(GROUPS)), (&b"ada"[..], None));
}

#[tokio::test]
async fn redirects_of_the_service_reach_the_browser() {
    let response = refused(authenticate(&forward(), &[]).await);
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (302, &"https://sso/?to=x".parse().unwrap())
    );
    assert_eq!((&response.headers()["set-cookie"], response.headers().get("x-other")), (&"a=b".parse().unwrap(), None));
    assert_eq!(
        (&response.headers()["cache-control"], response.body().as_bytes()),
        (&"no-store".parse().unwrap(), Some(&b"text"[..]))
    );
    assert_eq!(subject(authenticate(&forward(), &cookie("no")).await), Err(403));
}

#[tokio::test]
async fn a_failing_service_admits_no_request() {
    for value in ["fail", "unreachable"] {
        assert_eq!(subject(authenticate(&forward(), &cookie(value)).await), Err(503), "{value}");
    }
}

#[tokio::test]
async fn the_service_receives_the_head_without_message_fields() {
    let received = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = received.clone();
    let forward = Forward::new(
        move |request: Request<Body>| {
            *keep.lock().unwrap() = Some(request);
            async { Ok::<_, BoxError>(Response::new(Body::empty())) }
        },
        vec![],
    );
    let request = Request::builder()
        .method(Method::POST)
        .uri("/a/b?c=d")
        .header("host", "example.com")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("content-length", "5")
        .header("if-none-match", "\"a\"")
        .header("x-forwarded-uri", "/forged")
        .header("cookie", "kept");
    let parts = request.body(()).unwrap().into_parts().0;
    let client = ClientInfo::new("::ffff:10.0.0.1".parse().ok(), true);
    assert!(matches!(forward.authenticate(&parts, &client).await, Outcome::Verified(_)));
    let request = received.lock().unwrap().take().unwrap();
    assert!(request.method() == Method::GET && request.body().is_empty());
    for (name, value) in [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/a/b?c=d"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "example.com"),
        ("x-forwarded-for", "10.0.0.1"),
        ("cookie", "kept"),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
    }
    for name in ["connection", "x-hop", "content-length", "if-none-match"] {
        assert_eq!(request.headers().get(name), None, "{name}");
    }
}
