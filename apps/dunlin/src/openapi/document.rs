//! The document: the paths with their operations, and the parts that they share.

use serde_json::{Map, Value, json};

use super::api::Info;
use super::described::Described;
use super::operation::operation;
use crate::admit::auth::Auth;

/// Methods that an OpenAPI document can have (OpenAPI 3.1 §4.8.9).
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "patch", "trace"];

/// Makes an OpenAPI 3.1 document.
pub(crate) fn document(info: &Info, queries: &[Described<'_>], auth: &[Auth]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut ids: Vec<String> = Vec::new();
    let mut schemes: Map<String, Value> = Map::new();
    for described in queries {
        let route = described.route;
        let path = template(route.path.as_str());
        for method in route.methods.as_slice() {
            let name = method.as_str().to_ascii_lowercase();
            let item = paths.entry(path.clone()).or_insert_with(|| json!({}));
            // Routes of other hosts on the same path have no place of their own.
            if !METHODS.contains(&name.as_str()) || item.get(&name).is_some() {
                continue;
            }
            let id = unique(identifier(&name, &path), &mut ids);
            item[name] = operation(described, method, &id);
        }
        for name in &route.admission.auth {
            if let Some(auth) = auth.iter().find(|auth| auth.name == *name) {
                schemes.insert(name.clone(), auth.scheme());
            }
        }
    }
    paths.retain(|_, item| item.as_object().is_some_and(|item| !item.is_empty()));
    let mut components = json!({"schemas": {"Problem": problem()}});
    if !schemes.is_empty() {
        components["securitySchemes"] = schemes.into();
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": info.title, "version": info.version},
        "paths": paths,
        "components": components,
    })
}

/// The schema of a problem document (RFC 9457).
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "properties": {
            "status": {"type": "integer", "examples": [404]},
            "title": {"type": "string", "examples": ["Not Found"]},
            "detail": {"type": "string", "examples": ["there is no such row"]},
            "parameter": {"type": "string", "description": "the parameter that is wrong"},
        },
        "required": ["status", "title"],
    })
}

/// The path as a template: `{*rest}` is a parameter, too.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

/// A name for an operation, such as `get_users_user_id`.
fn identifier(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// The name, with a number if it is taken.
fn unique(name: String, taken: &mut Vec<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name);
    taken.push(free.clone());
    free
}
