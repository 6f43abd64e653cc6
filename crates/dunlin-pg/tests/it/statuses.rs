//! SQLSTATEs and the statuses and texts that clients get.

use dunlin_pg::{Access, Query, QueryService, Rows};
use http::Method;

use crate::support::{Fixture, ask, config, get, named, post, postgres, text};

fn service(fixture: &Fixture, sql: &str, params: &[&str]) -> QueryService {
    fixture.service(Query { params: named(params), ..Query::new([sql]) })
}

#[tokio::test]
async fn no_answer_contains_a_stored_value() {
    postgres().psql(
        "CREATE TABLE s_people (id int, data jsonb, n int);
         INSERT INTO s_people VALUES (1, '{\"age\": \"n/a: card 4111\"}', 2000000000), (2, '{}', 2000000000)",
    );
    let fixture = Fixture::new(config("s_stored"));
    // Without a parameter the client cannot be at fault.
    for sql in ["SELECT (data->>'age')::int FROM s_people", "SELECT sum(n)::int FROM s_people"] {
        let answer = ask(&service(&fixture, sql, &[]), get("/", &[])).await;
        assert_eq!(answer.status(), 500, "{sql}");
        assert!(!text(&answer).contains("4111") && !text(&answer).contains("integer"), "{}", text(&answer));
    }
    // With a parameter it may be at fault, but it does not get the value.
    let by_id = service(&fixture, "SELECT (data->>'age')::int FROM s_people WHERE id = $1", &["id"]);
    let answer = ask(&by_id, get("/?id=1", &[])).await;
    assert_eq!(answer.status(), 400);
    assert!(!text(&answer).contains("4111"), "{}", text(&answer));
    let role = service(&fixture, "SELECT set_config('role', $1, true)", &["role"]);
    let answer = ask(&role, get("/?role=nobody_at_all", &[])).await;
    assert!(answer.status() == 400 && !text(&answer).contains("does not exist"), "{}", text(&answer));
}

#[tokio::test]
async fn invalid_search_terms_are_the_clients_fault() {
    postgres().psql("CREATE EXTENSION IF NOT EXISTS ltree");
    let fixture = Fixture::new(config("s_search"));
    for (sql, value) in [
        ("SELECT 'a' ~ $1 AS v", "("),
        ("SELECT 'a' LIKE $1 AS v", "%5C"),
        ("SELECT to_tsquery('simple', $1) AS v", "a+b"),
        ("SELECT jsonb_path_query('{}', $1::jsonpath) AS v", "$."),
        ("SELECT 'a'::ltree ~ $1::lquery AS v", "a..b"),
        ("SELECT int4range(5, $1::int) AS v", "1"),
        ("SELECT sqrt($1::float8) AS v", "-1"),
        ("SELECT 10 / $1::int AS v", "0"),
        ("SELECT ln($1::numeric) AS v", "-1"),
        ("SELECT date_trunc($1, now()) AS v", "parsec"),
        ("SELECT now() AT TIME ZONE $1 AS v", "Mars"),
        ("SELECT 1 AS v LIMIT $1::bigint", "-1"),
        ("SELECT regexp_replace('a', 'a', 'b', $1) AS v", "Z"),
        ("SELECT ($1::text)::int AS v", "x"),
        ("SELECT decode($1, 'hex') IS NULL AS v", "zz"),
    ] {
        let answer = ask(&service(&fixture, sql, &["q"]), get(&format!("/?q={value}"), &[])).await;
        assert_eq!(answer.status(), 400, "{sql}: {}", text(&answer));
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_the_clients_fault() {
    postgres().psql("CREATE SEQUENCE s_seq; CREATE DOMAIN s_word AS text CHECK (VALUE::regtype IS NOT NULL)");
    let casts = [
        ("SELECT to_tsvector($1::regconfig, 'x') AS v", "nosuch"),
        ("SELECT $1::regclass::text AS v", "nosuch"),
        ("SELECT $1::regclass::text AS v", "no.such"),
        ("SELECT $1::regclass::text AS v", "%22"),
        ("SELECT $1::regtype::text AS v", "nosuch"),
        ("SELECT $1::regtype::text AS v", "a+b+c("),
        ("SELECT $1::regrole::text AS v", "nosuch"),
        ("SELECT $1::regproc::text AS v", "nosuch"),
        ("SELECT $1::regproc::text AS v", "lower"),
        ("SELECT $1::regnamespace::text AS v", "nosuch"),
        ("SELECT has_sequence_privilege($1::regclass, 'select') AS v", "nosuch"),
        ("SELECT $1::s_word::text AS v", "nosuch"),
    ];
    // The values of a text are read when the statement runs, so the error names no parameter.
    let texts = [
        ("SELECT to_tsvector($1::text::regconfig, 'x') AS v", "nosuch"),
        ("SELECT $1::text::regclass::text AS v", "nosuch"),
        ("SELECT $1::text::regclass::text AS v", "no.such"),
        ("SELECT $1::text::regproc::text AS v", "lower"),
        ("SELECT $1::text::regtype::text AS v", "a+b+c("),
        ("SELECT has_table_privilege($1, 'select') AS v", "nosuch"),
        ("SELECT has_column_privilege('pg_class', $1, 'select') AS v", "nosuch"),
    ];
    let direct = casts.len();
    for (number, (sql, value)) in casts.into_iter().chain(texts).enumerate() {
        let shared = Fixture::new(config("s_names"));
        let alone = Fixture::new(dunlin_pg::Config { shared: 0, pool_size: 1, ..config("s_names") });
        let query = Query { params: named(&["q"]), ..Query::new([sql]) };
        let services = [
            (&shared, query.clone()),
            (&shared, Query { access: Access::Write, ..query.clone() }),
            (&shared, Query { isolation: Some(dunlin_pg::Isolation::RepeatableRead), ..query.clone() }),
            (&alone, query.clone()),
            (&alone, Query { rows: Rows::One, ..query }),
        ];
        for (fixture, query) in services {
            let (service, before) = (fixture.service(query), fixture.database.stats().retried);
            for _ in 0..4 {
                let answer = ask(&service, get(&format!("/?q={value}"), &[])).await;
                assert_eq!(answer.status(), 400, "{sql}: {}", text(&answer));
                assert_eq!(text(&answer).contains(r#""parameter":"q""#), number < direct, "{sql}: {}", text(&answer));
            }
            let retried = fixture.database.stats().retried - before;
            assert!(retried <= u64::from(number >= direct) * 2, "{sql}: prepared anew {retried} times");
        }
    }
}

#[tokio::test]
async fn objects_that_a_migration_dropped_are_not_the_clients_fault() {
    postgres().psql(
        "CREATE TABLE s_gone (id int); INSERT INTO s_gone VALUES (1); CREATE TYPE s_enum AS ENUM ('a');
         CREATE FUNCTION s_body(int) RETURNS bigint LANGUAGE plpgsql AS
             $f$ BEGIN RETURN (SELECT count(*) FROM s_gone WHERE id = $1); END $f$;
         CREATE TABLE s_key (id int CONSTRAINT s_key_id PRIMARY KEY)",
    );
    let fixture = Fixture::new(config("s_gone"));
    let table = service(&fixture, "SELECT id FROM s_gone WHERE id = $1", &["q"]);
    let body = service(&fixture, "SELECT s_body($1) AS n", &["q"]);
    let word = service(&fixture, "SELECT $1::s_enum AS e", &["q"]);
    let key = fixture.service(Query {
        params: named(&["q"]),
        access: Access::Write,
        ..Query::new(["INSERT INTO s_key VALUES ($1) ON CONFLICT ON CONSTRAINT s_key_id DO NOTHING"])
    });
    let good = async |status: u16| {
        for (service, query) in [(&table, "/?q=1"), (&body, "/?q=1"), (&word, "/?q=a")] {
            let answer = ask(service, get(query, &[])).await;
            assert_eq!(answer.status().as_u16(), status, "{query}: {}", text(&answer));
        }
    };
    good(200).await;
    assert_eq!(ask(&key, get("/?q=1", &[])).await.status(), 204);
    // The new type has another OID.
    postgres().psql(
        "ALTER TABLE s_gone RENAME TO s_gone_old; ALTER TYPE s_enum RENAME TO s_enum_old;
         ALTER TABLE s_key DROP CONSTRAINT s_key_id",
    );
    postgres().psql("DROP TYPE s_enum_old");
    good(500).await;
    good(500).await;
    for _ in 0..3 {
        assert_eq!(ask(&key, get("/?q=1", &[])).await.status(), 500);
    }
    postgres().psql("ALTER TABLE s_gone_old RENAME TO s_gone; CREATE TYPE s_enum AS ENUM ('b', 'a')");
    good(200).await;
    postgres().psql("DROP TYPE s_enum; CREATE TYPE s_enum AS ENUM ('a')");
    good(200).await;
}

/// PostgreSQL reports an unknown setting like an unknown name, but no value of the client has it.
#[tokio::test]
async fn a_setting_that_a_policy_lacks_is_not_the_clients_fault() {
    postgres().psql(
        "CREATE TABLE s_policy (id int); INSERT INTO s_policy VALUES (1); ALTER TABLE s_policy ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON s_policy USING (id::text = current_setting('s_app.nosuch'));
         CREATE ROLE s_owner LOGIN; GRANT SELECT ON s_policy TO s_owner",
    );
    let url = postgres().url().replacen("postgres@", "s_owner@", 1);
    let fixture = Fixture::new(dunlin_pg::Config { url, ..config("s_policy") });
    let query = Query { params: named(&["q"]), ..Query::new(["SELECT id FROM s_policy WHERE id = $1"]) };
    for query in [query.clone(), Query { access: Access::Write, ..query }] {
        let service = fixture.service(query);
        for _ in 0..3 {
            assert_eq!(ask(&service, get("/?q=1", &[])).await.status(), 500);
        }
    }
    assert_eq!(fixture.database.stats().retried, 0, "no plan is thrown away");
}

fn raising(fixture: &Fixture, name: &str, raise: &str) -> QueryService {
    postgres().psql(&format!("CREATE FUNCTION {name}() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN {raise}; END $f$"));
    fixture.service(Query { access: Access::Write, rows: Rows::One, ..Query::new([format!("SELECT {name}()")]) })
}

#[tokio::test]
async fn raise_chooses_the_status_and_the_text() {
    let fixture = Fixture::new(config("s_raise"));
    let cases = [
        ("RAISE EXCEPTION 'out of stock'", 400, r#""detail":"out of stock""#),
        (
            "RAISE EXCEPTION 'x' USING ERRCODE = 'PT402', DETAIL = 'pay', HINT = 'buy'",
            402,
            r#""details":"pay","hint":"buy""#,
        ),
        ("RAISE EXCEPTION 'gone' USING ERRCODE = 'PT410'", 410, r#""detail":"gone""#),
        ("RAISE EXCEPTION 'not yours' USING ERRCODE = '42501'", 403, r#""detail":"not yours""#),
        ("RAISE EXCEPTION 'no such' USING ERRCODE = 'P0002'", 404, r#""detail":"no such""#),
        ("RAISE EXCEPTION 'taken' USING ERRCODE = '23505'", 409, r#""detail":"taken""#),
        ("RAISE EXCEPTION 'bad' USING ERRCODE = '22023'", 400, r#""detail":"bad""#),
        ("RAISE EXCEPTION 'never' USING ERRCODE = '23514'", 422, r#""detail":"never""#),
        ("RAISE EXCEPTION 'view' USING ERRCODE = '44000'", 422, r#""detail":"view""#),
        ("RAISE EXCEPTION 'busy' USING ERRCODE = '53400'", 503, r#""detail":"busy""#),
        ("RAISE EXCEPTION 'odd' USING ERRCODE = 'XX999'", 400, r#""code":"XX999""#),
        ("PERFORM 1 / 0", 500, r#"{"status":500"#),
    ];
    for (number, (raise, status, part)) in cases.into_iter().enumerate() {
        let answer = ask(&raising(&fixture, &format!("s_raise_{number}"), raise), post("{}")).await;
        assert!(answer.status().as_u16() == status && text(&answer).contains(part), "{raise}: {answer:?}");
    }
}

#[tokio::test]
async fn a_missing_right_is_403_and_names_nothing() {
    postgres().psql(
        "CREATE TABLE s_rls (owner text); ALTER TABLE s_rls ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON s_rls USING (owner = 'me'); CREATE TABLE s_secret (a int); CREATE ROLE s_weak LOGIN;
         GRANT INSERT, SELECT ON s_rls TO s_weak",
    );
    let url = postgres().url().replacen("postgres@", "s_weak@", 1);
    let fixture = Fixture::new(dunlin_pg::Config { url, ..config("s_rights") });
    for (sql, body) in [
        ("INSERT INTO s_rls VALUES ($1::text)", r#"{"a":"you"}"#),
        ("INSERT INTO s_secret VALUES ($1::int)", r#"{"a":1}"#),
    ] {
        let query = Query { params: named(&["body.a"]), access: Access::Write, ..Query::new([sql]) };
        let answer = ask(&fixture.service(query), post(body)).await;
        assert!(answer.status() == 403 && !text(&answer).contains("s_"), "{sql}: {}", text(&answer));
    }
}

#[tokio::test]
async fn conditions_are_evaluated_or_refused() {
    postgres().psql("CREATE TABLE s_match (id int, v int); INSERT INTO s_match VALUES (1, 1)");
    let fixture = Fixture::new(config("s_match"));
    let read = one(&fixture, "SELECT v FROM s_match WHERE id = 1", Access::Read);
    let write = one(&fixture, "UPDATE s_match SET v = v + 1 WHERE id = 1 RETURNING v", Access::Write);
    let with = |method: Method, name: &'static str, value: &str| {
        let mut request = get("/", &[]);
        *request.method_mut() = method;
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let etag = ask(&read, get("/", &[])).await.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(ask(&read, with(Method::GET, "if-match", &etag)).await.status(), 200);
    assert_eq!(ask(&read, with(Method::GET, "if-match", "\"other\"")).await.status(), 412);
    assert_eq!(ask(&read, with(Method::GET, "if-none-match", &etag)).await.status(), 304);
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        for (name, value) in [("if-match", "\"stale\""), ("if-match", &etag), ("if-none-match", "*")] {
            assert_eq!(ask(&write, with(method.clone(), name, value)).await.status(), 412, "{method} {name}");
        }
    }
    assert_eq!(postgres().psql("SELECT v FROM s_match"), "1");
    assert_eq!(
        ask(&write, with(Method::PUT, "if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")).await.status(),
        200
    );
}

fn one(fixture: &Fixture, sql: &str, access: Access) -> QueryService {
    fixture.service(Query { access, rows: Rows::One, ..Query::new([sql]) })
}
