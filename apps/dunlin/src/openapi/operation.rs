//! One operation: its parameters, its responses and its security.

use dunlin_pg::json::{nullable, schema};
use dunlin_pg::tokio_postgres::types::Type;
use dunlin_pg::{Access, Description, MediaTypeSource, Place, Rows, Source};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::body;
use super::described::Described;
use super::schema::with_default;

/// The description of an operation.
pub(super) fn operation(described: &Described<'_>, method: &Method, id: &str) -> Value {
    let Described { route, query, description } = described;
    let mut operation = json!({"operationId": id});
    if let Some(tag) = route.path.as_str().split('/').find(|part| !part.is_empty() && !part.contains('{')) {
        operation["tags"] = json!([tag]);
    }
    let sources = sources(described);
    let mut parameters: Vec<Value> =
        sources.iter().filter_map(|(source, ty)| parameter(source, ty.as_ref(), described)).collect();
    if let Some(page) = query.declaration.page {
        let number = |name: &str, default: u32, limits: Value| {
            let mut schema = json!({"type": "integer", "minimum": 0, "default": default});
            if let (Some(schema), Value::Object(limits)) = (schema.as_object_mut(), limits) {
                schema.extend(limits);
            }
            json!({"name": name, "in": "query", "required": false, "schema": schema})
        };
        parameters.push(number("limit", page.size, json!({"maximum": page.max})));
        parameters.push(number("offset", 0, json!({})));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    let body = body::request(&sources);
    let has_body = body.is_some();
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    if !route.admission.auth.is_empty() {
        let alternatives: Vec<Value> = route.admission.auth.iter().map(|name| json!({name: []})).collect();
        operation["security"] = alternatives.into();
    }
    let mut responses: Map<String, Value> = Map::new();
    let (status, success) = success(query, description.as_ref());
    responses.insert(status.as_str().to_owned(), success);
    let has_input = !sources.is_empty();
    for status in problems(described, method, has_input, has_body) {
        responses.insert(status.as_str().to_owned(), problem(status));
    }
    operation["responses"] = responses.into();
    operation
}

/// The sources of parameters and settings, each once, with the types that the database told.
fn sources<'c>(described: &Described<'c>) -> Vec<(&'c Source, Option<Type>)> {
    let mut sources: Vec<(&Source, Option<Type>)> = Vec::new();
    let types = described.description.iter().flat_map(|description| &description.param_types);
    let types = types.cloned().chain(std::iter::repeat(None));
    // Settings are text.
    for (source, ty) in described.query.sources().zip(types) {
        if sources.iter().all(|(known, _)| known.name() != source.name() || known.place() != source.place()) {
            sources.push((source, ty));
        }
    }
    sources
}

/// The description of a parameter outside of the body; `None` if clients do not send it.
fn parameter(source: &Source, ty: Option<&Type>, described: &Described<'_>) -> Option<Value> {
    let in_path = described.route.path.names().any(|name| name == source.name());
    let place = match source.place() {
        Place::Url if in_path => "path",
        Place::Url => "query",
        Place::Header => "header",
        Place::Cookie => "cookie",
        _ => return None,
    };
    let mut parameter = json!({
        "name": source.key(),
        "in": place,
        "required": in_path || source.default().is_none(),
        "schema": with_default(source, ty),
    });
    if let Some(examples) = parameter["schema"].as_object_mut().and_then(|schema| schema.remove("examples")) {
        parameter["example"] = examples[0].clone();
    }
    Some(parameter)
}

/// The response of a success.
fn success(query: &crate::routes::Query, description: Option<&Description>) -> (StatusCode, Value) {
    let declaration = &query.declaration;
    let columns = description.map(|description| &description.columns);
    if columns.is_some_and(Vec::is_empty) {
        let status = if declaration.status == StatusCode::OK { StatusCode::NO_CONTENT } else { declaration.status };
        return (status, json!({"description": "done"}));
    }
    let row = description.map_or_else(|| json!({"type": "object"}), row);
    let (result, what) = match declaration.rows {
        Rows::One => (row, "one row"),
        _ => (json!({"type": "array", "items": row}), "all rows"),
    };
    let mut content = json!({"application/json": {"schema": result}});
    if declaration.rows == Rows::Many && declaration.formats.csv {
        content["text/csv"] = json!({"schema": {"type": "string"}});
    }
    if declaration.rows == Rows::Many && declaration.formats.ndjson {
        content["application/x-ndjson"] = json!({"schema": {"type": "string"}});
    }
    if !query.live().is_empty() {
        let what = "server-sent events: the JSON as data, and again whenever it changes";
        content["text/event-stream"] = json!({"schema": {"type": "string", "description": what}});
    }
    if let Some(raw) = &declaration.raw {
        let media_type = match &raw.media_type {
            MediaTypeSource::Column(_) => "*/*",
            MediaTypeSource::Fixed(media_type) => media_type.to_str().unwrap_or("*/*"),
        };
        content = json!({media_type: {"schema": {"type": "string", "format": "binary"}}});
    }
    let mut response = json!({"description": what, "content": content});
    let header = |what: &str| json!({"description": what, "schema": {"type": "string"}});
    if declaration.location.is_some() {
        response["headers"]["Location"] = header("the URL of the row");
    }
    if declaration.page.is_some() {
        response["headers"]["Link"] = header("the URL of the next page (RFC 8288)");
    }
    (declaration.status, response)
}

/// The schema of a row.
fn row(description: &Description) -> Value {
    let mut properties: Map<String, Value> = Map::new();
    for (index, ((name, _), ty)) in description.columns.iter().zip(&description.column_types).enumerate() {
        let schema = schema(ty);
        let is_known = description.not_null.get(index) == Some(&true);
        properties.insert(name.clone(), if is_known { schema } else { nullable(schema) });
    }
    let names: Vec<String> = properties.keys().cloned().collect();
    json!({"type": "object", "properties": properties, "required": names})
}

/// The statuses of the problems that an operation may answer.
fn problems(described: &Described<'_>, method: &Method, has_input: bool, has_body: bool) -> Vec<StatusCode> {
    let Described { route, query, .. } = described;
    let writes = query.declaration.access == Access::Write && *method != Method::GET;
    let knows_client =
        query.reads_claims() || query.declaration.role.is_some() || !query.declaration.settings.is_empty();
    let has_auth = !route.admission.auth.is_empty();
    let all = [
        (StatusCode::BAD_REQUEST, has_input),
        (StatusCode::UNAUTHORIZED, has_auth),
        (StatusCode::FORBIDDEN, has_auth || knows_client || writes),
        (StatusCode::NOT_FOUND, query.declaration.rows == Rows::One),
        (StatusCode::CONFLICT, writes),
        (StatusCode::PRECONDITION_FAILED, writes),
        (StatusCode::PAYLOAD_TOO_LARGE, has_body),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, has_body),
        (StatusCode::UNPROCESSABLE_ENTITY, writes),
        (StatusCode::PRECONDITION_REQUIRED, query.requires_condition),
        (StatusCode::TOO_MANY_REQUESTS, route.admission.limit().is_some()),
        (StatusCode::INTERNAL_SERVER_ERROR, true),
        (StatusCode::SERVICE_UNAVAILABLE, true),
        (StatusCode::GATEWAY_TIMEOUT, true),
    ];
    all.into_iter().filter(|(_, applies)| *applies).map(|(status, _)| status).collect()
}

fn problem(status: StatusCode) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let example = json!({"status": status.as_u16(), "title": status.canonical_reason()});
    json!({
        "description": status.canonical_reason().unwrap_or("an error"),
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    })
}
