//! The document of a small configuration.

use std::path::Path;

use dunlin_pg::Description;
use dunlin_pg::tokio_postgres::types::Type;
use expect_test::expect;
use serde_json::json;

use super::api::Info;
use super::described::Described;
use super::document::document;
use crate::config::Config;

const CONFIG: &str = r#"
[database]
url = "postgres://a@127.0.0.1/a"
[[route]]
path = "/users/{id}"
method = "PATCH"
query = "UPDATE users SET name = $2, city = $3 WHERE id = $1 RETURNING id, name"
params = ["id", "body.name", "body.address.city"]
default = { "body.address.city" = "Oslo" }
rows = "one"
[[route]]
path = "/users"
query = "SELECT id FROM users LIMIT $1"
params = ["limit"]
default = { limit = 10 }
format = ["json", "csv"]
live = { groups = ["users"] }
"#;

#[test]
fn types_and_places_are_described() {
    let config = Config::parse("dunlin.toml", CONFIG, Path::new(""), None).expect("a configuration");
    let column = |name: &str, ty: &Type| (name.to_owned(), ty.name().to_owned());
    let first = Description {
        param_types: vec![Some(Type::INT8), Some(Type::TEXT), None],
        columns: vec![column("id", &Type::INT8), column("name", &Type::TEXT)],
        column_types: vec![Type::INT8, Type::TEXT],
        not_null: vec![true, false],
        ..Description::default()
    };
    let descriptions = [Some(first), None];
    let queries: Vec<Described<'_>> = config
        .routes
        .iter()
        .zip(descriptions)
        .map(|(route, description)| Described { route, query: route.room.query().expect("a query"), description })
        .collect();
    let document = document(&Info::default(), &queries, &config.auth);
    let patch = &document["paths"]["/users/{id}"]["patch"];
    assert_eq!(patch["operationId"], "patch_users_id");
    let parameters = expect![[
        r#"[{"example":1,"in":"path","name":"id","required":true,"schema":{"format":"int64","type":"integer","x-postgresql-type":"bigint"}}]"#
    ]];
    parameters.assert_eq(&patch["parameters"].to_string());
    let body = expect![[
        r#"{"content":{"application/json":{"schema":{"properties":{"address":{"properties":{"city":{"default":"Oslo"}},"type":"object"},"name":{"examples":["text"],"type":"string","x-postgresql-type":"text"}},"required":["name"],"type":"object"}}},"required":true}"#
    ]];
    body.assert_eq(&patch["requestBody"].to_string());
    let answer = expect![[
        r#"{"content":{"application/json":{"schema":{"properties":{"id":{"examples":[1],"format":"int64","type":"integer","x-postgresql-type":"bigint"},"name":{"examples":["text"],"type":["string","null"],"x-postgresql-type":"text"}},"required":["id","name"],"type":"object"}}},"description":"one row"}"#
    ]];
    answer.assert_eq(&patch["responses"]["200"].to_string());
    let get = &document["paths"]["/users"]["get"];
    assert_eq!(get["parameters"][0]["schema"], json!({"default": 10}));
    let content = get["responses"]["200"]["content"].as_object().expect("content");
    assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json", "text/csv", "text/event-stream"]);
    let statuses = |operation: &serde_json::Value| {
        let responses = operation["responses"].as_object().expect("responses");
        responses.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(statuses(patch), "200 400 403 404 409 412 413 415 422 500 503 504");
    assert_eq!(statuses(get), "200 400 500 503 504");
}
