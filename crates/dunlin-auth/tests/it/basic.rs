//! User names and passwords (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_auth::{Basic, Users};

use crate::{authenticate, refused, subject};

fn field(user: &str, password: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))]
}

fn basic(cost: u32) -> Basic {
    let line = format!("ada:{}\n", bcrypt::hash("secret", cost).unwrap());
    Basic::new(Users::parse(&line).unwrap(), "staff")
}

#[tokio::test(flavor = "multi_thread")]
async fn right_and_wrong_passwords() {
    let basic = basic(4);
    for _ in 0..2 {
        assert_eq!(subject(authenticate(&basic, &field("ada", "secret")).await), Ok("ada".into()));
        assert_eq!(subject(authenticate(&basic, &field("ada", "Secret")).await), Err(401));
        assert_eq!(subject(authenticate(&basic, &field("grace", "secret")).await), Err(401));
    }
    let response = refused(authenticate(&basic, &[]).await);
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"staff\", charset=\"UTF-8\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_one_verification() {
    let basic = basic(8);
    let requests = (0..50).map(|_| {
        let basic = basic.clone();
        tokio::spawn(async move { subject(authenticate(&basic, &field("ada", "secret")).await) })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), Ok("ada".into()));
    }
    assert_eq!(basic.stats().verified, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_is_limited() {
    let basic = basic(8);
    let requests = (0..1000).map(|n: u32| {
        let basic = basic.clone();
        tokio::spawn(async move { subject(authenticate(&basic, &field("ada", &n.to_string())).await) })
    });
    let mut statuses = [0, 0];
    for request in requests.collect::<Vec<_>>() {
        match request.await.unwrap() {
            Err(401) => statuses[0] += 1,
            Err(503) => statuses[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(statuses[0] > 0 && statuses[1] > 0, "{statuses:?}");
    let stats = basic.stats();
    assert_eq!([stats.verified, stats.overloaded], statuses);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_users_apply_at_once() {
    let basic = basic(4);
    assert!(subject(authenticate(&basic, &field("ada", "secret")).await).is_ok());
    basic.replace(Users::default());
    assert_eq!(subject(authenticate(&basic, &field("ada", "secret")).await), Err(401));
}
