//! Settings and roles of a transaction: row-level security without leaks between clients.

use std::sync::Arc;
use std::time::Duration;

use dunlin_http::{Body, Identity};
use dunlin_pg::{Access, Config, Pooler, Query, QueryService, Role, Rows, Setting, Source};
use dunlin_testkit::PgBouncer;
use http::Request;
use tower::ServiceExt;

use crate::support::{Fixture, ask, config, get, named, postgres, text};

/// The clients. Each has rows of its own in each table.
const CLIENTS: [&str; 4] = ["ada", "bob", "o'neil\"; RESET ROLE", "eve"];

/// Makes a table whose rows only their owners see, and a role that the policy applies to.
fn secure(table: &str) {
    postgres().psql(&format!(
        "DO $$ BEGIN CREATE ROLE set_reader; CREATE ROLE set_other; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
         CREATE TABLE {table} (owner text, n int); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON {table} USING (owner = current_setting('app.user'));
         GRANT SELECT, INSERT, UPDATE ON {table} TO set_reader"
    ));
    for client in CLIENTS {
        postgres().psql(&format!("INSERT INTO {table} SELECT $q${client}$q$, n FROM generate_series(1, 3) n"));
    }
}

fn with_settings(query: Query) -> Query {
    Query {
        settings: vec![Setting::new("app.user", Source::named("claim.sub"))],
        role: Some(Role::new(Source::named("claim.role").or("set_reader".into()), ["set_reader", "set_other"])),
        ..query
    }
}

fn by(client: &str, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(Arc::new(Identity::of_subject(client)));
    request
}

fn claims(json: &str) -> Request<Body> {
    let mut request = get("/", &[]);
    request.extensions_mut().insert(Arc::new(Identity::new(serde_json::from_str(json).unwrap())));
    request
}

/// The query in each way it can run: in one round trip, as a stream, as a list, as a write.
fn services(fixture: &Fixture, table: &str) -> Vec<QueryService> {
    let seen = format!("SELECT owner, count(*) AS n, current_user::text AS u FROM {table} GROUP BY owner");
    let long = format!("SELECT owner, current_user::text AS u, repeat('x', 40000) AS x FROM {table}");
    let one = Query { rows: Rows::One, ..Query::new([seen.clone()]) };
    [
        one.clone(),
        Query::new([seen.clone()]),
        Query::new([long]),
        Query::new(["SELECT 1 AS a".to_owned(), seen.clone()]),
        Query { isolation: Some(dunlin_pg::Isolation::RepeatableRead), ..one.clone() },
        Query { access: Access::Write, ..one },
        Query { access: Access::Write, ..Query::new([format!("UPDATE {table} SET n = n"), seen]) },
    ]
    .map(|query| fixture.service(with_settings(query)))
    .into()
}

async fn only_own_rows(fixture: &Fixture, table: &str) {
    let services = services(fixture, table);
    let left = "SELECT coalesce(current_setting('app.user', true), '') AS s, current_user::text AS u";
    let left = [Access::Read, Access::Write].map(|access| {
        let isolation = Some(dunlin_pg::Isolation::ReadCommitted);
        fixture.service(Query { rows: Rows::One, access, isolation, ..Query::new([left]) })
    });
    // In some rounds the client goes away in the middle of its request.
    for round in 0..6 {
        let asking = services.iter().enumerate().flat_map(|(number, service)| {
            CLIENTS.iter().enumerate().map(move |(index, client)| async move {
                let request = by(client, get("/", &[]));
                if (round + number + index) % 4 == 3 {
                    let soon = Duration::from_micros(300 * (round + index) as u64);
                    let _ = tokio::time::timeout(soon, service.clone().oneshot(request)).await;
                    return;
                }
                let answer = ask(service, request).await;
                assert_eq!(answer.status(), 200, "{number} {client}: {}", text(&answer));
                let rows: serde_json::Value = serde_json::from_str(text(&answer)).unwrap();
                let rows = rows.as_array().cloned().unwrap_or_else(|| vec![rows]);
                assert!(!rows.is_empty());
                for row in rows {
                    assert_eq!((&row["owner"], &row["u"]), (&(*client).into(), &"set_reader".into()), "{number}");
                }
            })
        });
        futures_util::future::join_all(asking).await;
        for service in &left {
            let answer = ask(service, get("/", &[])).await;
            assert_eq!(text(&answer), r#"{"s":"","u":"postgres"}"#);
        }
    }
}

#[tokio::test]
async fn a_client_sees_its_own_rows_alone() {
    secure("set_own");
    only_own_rows(&Fixture::new(config("set_own")), "set_own").await;
}

#[tokio::test]
async fn behind_a_pooler_too() {
    secure("set_pooled");
    let bouncer = PgBouncer::start(postgres());
    let config = Config { url: bouncer.url(), pooler: Pooler::Transaction, ..config("set_pooled") };
    only_own_rows(&Fixture::new(config), "set_pooled").await;
}

#[tokio::test]
async fn errors_leave_no_settings() {
    secure("set_errors");
    let fixture = Fixture::new(Config { shared: 0, pool_size: 1, ..config("set_errors") });
    let failing =
        ["SELECT 1 / $1::int AS v", "SELECT nosuch($1::int)", "SELECT ($1::text || 'x')::regclass::text AS v"];
    for sql in failing {
        for access in [Access::Read, Access::Write] {
            let query = Query { params: named(&["q"]), access, ..Query::new([sql]) };
            let service = fixture.service(with_settings(query));
            let seen = fixture.service(Query {
                rows: Rows::One,
                access,
                ..Query::new(["SELECT coalesce(current_setting('app.user', true), '') AS s, current_user::text AS u"])
            });
            for _ in 0..3 {
                let answer = ask(&service, by("ada", get("/?q=0", &[]))).await;
                assert!(answer.status().is_client_error() || answer.status() == 500, "{sql}: {}", text(&answer));
                assert_eq!(text(&ask(&seen, get("/", &[])).await), r#"{"s":"","u":"postgres"}"#, "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn an_insert_is_held_to_its_policy() {
    secure("set_insert");
    let fixture = Fixture::new(config("set_insert"));
    let insert = fixture.service(with_settings(Query {
        params: named(&["owner"]),
        access: Access::Write,
        rows: Rows::One,
        ..Query::new(["INSERT INTO set_insert VALUES ($1, 4) RETURNING owner"])
    }));
    assert_eq!(text(&ask(&insert, by("ada", get("/?owner=ada", &[]))).await), r#"{"owner":"ada"}"#);
    assert_eq!(ask(&insert, by("ada", get("/?owner=bob", &[]))).await.status(), 403);
    assert_eq!(postgres().psql("SELECT count(*) FROM set_insert WHERE n = 4"), "1");
}

#[tokio::test]
async fn missing_claims_and_other_roles_are_403() {
    secure("set_roles");
    let fixture = Fixture::new(config("set_roles"));
    let service =
        fixture.service(with_settings(Query::new(["SELECT DISTINCT owner, current_user::text AS u FROM set_roles"])));
    for (json, status) in [
        (r#"{"sub": "ada"}"#, 200),
        (r#"{"sub": "ada", "role": "set_reader"}"#, 200),
        // It is allowed, but has no right to the table.
        (r#"{"sub": "ada", "role": "set_other"}"#, 403),
        (r#"{"sub": "ada", "role": "postgres"}"#, 403),
        (r#"{"sub": "ada", "role": "none"}"#, 403),
        (r#"{"sub": "ada", "role": "SET_READER"}"#, 403),
        (r#"{"sub": "ada", "role": "set_reader\"; DROP TABLE set_roles"}"#, 403),
        (r#"{"role": "set_reader"}"#, 403),
        (r#"{"sub": "a\u0000b"}"#, 400),
        ("{}", 403),
    ] {
        let answer = ask(&service, claims(json)).await;
        assert_eq!(answer.status(), status, "{json}: {}", text(&answer));
    }
    let unknown = ask(&service, get("/", &[])).await;
    assert_eq!((unknown.status().as_u16(), &unknown.headers()["cache-control"]), (403, &"private".parse().unwrap()));
    let numbers = fixture.service(Query {
        params: named(&["claim.level", "claim.groups", "header.x-one"]),
        rows: Rows::One,
        settings: vec![Setting::new("app.groups", Source::named("claim.groups"))],
        ..Query::new(["SELECT $1::int AS level, $2::text[] AS groups, $3 AS one, current_setting('app.groups') AS s"])
    });
    let mut request = claims(r#"{"level": 3, "groups": ["a", "b"]}"#);
    request.headers_mut().append("x-one", "1".parse().unwrap());
    request.headers_mut().append("x-one", "2".parse().unwrap());
    let answer = ask(&numbers, request).await;
    assert_eq!(answer.headers()["cache-control"], "private");
    assert_eq!(answer.headers()["vary"], "x-one");
    assert_eq!(text(&answer), r#"{"level":3,"groups":["a","b"],"one":"1, 2","s":"[\"a\",\"b\"]"}"#);
    assert_eq!(ask(&numbers, claims(r#"{"level": 3, "groups": []}"#)).await.status(), 400, "no such field");
}

#[tokio::test]
async fn a_description_tries_the_settings_with_each_role() {
    secure("set_described");
    let fixture = Fixture::new(config("set_described"));
    let with = |roles: &[&str]| {
        fixture.declare(Query {
            role: Some(Role::new(Source::named("claim.role"), roles.iter().copied())),
            ..with_settings(Query::new(["SELECT owner FROM set_described"]))
        })
    };
    let queries = [with(&["set_reader", "set_other"]), with(&["set_reader", "set_nosuch"])];
    let answers = fixture.database.describe(&queries).await.unwrap();
    assert!(answers[0].is_ok(), "{:?}", answers[0]);
    let error = answers[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("settings") && error.contains("set_nosuch"), "{error}");
    let service = QueryService::new(fixture.pool.clone(), queries[1].clone());
    let answer = ask(&service, claims(r#"{"sub": "ada", "role": "set_nosuch"}"#)).await;
    assert!(answer.status() == 500 && !text(&answer).contains("nosuch"), "{}", text(&answer));
    let wrong = Query { settings: vec![Setting::new("search_path", Source::named("q"))], ..Query::new(["SELECT 1"]) };
    assert!(fixture.database.declare(wrong).is_err());
}
