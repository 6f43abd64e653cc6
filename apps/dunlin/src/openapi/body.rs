//! The body of a request.

use dunlin_pg::tokio_postgres::types::Type;
use dunlin_pg::{Place, Source};
use serde_json::{Value, json};

use super::schema::with_default;

/// The description of the body; `None` if no parameter reads one.
pub(super) fn request(sources: &[(&Source, Option<Type>)]) -> Option<Value> {
    let mut fields = sources.iter().filter(|(source, _)| source.place() == Place::Body).peekable();
    fields.peek()?;
    let mut whole = None;
    let mut schema = json!({"type": "object", "properties": {}});
    let mut required = false;
    for (source, ty) in fields {
        let own = with_default(source, ty.as_ref());
        let is_required = source.default().is_none();
        required |= is_required;
        if source.key().is_empty() {
            whole = Some((media_type(ty.as_ref()), own));
        } else {
            insert(&mut schema, source.key(), own, is_required);
        }
    }
    let (media_type, schema) = whole.unwrap_or(("application/json", schema));
    Some(json!({"required": required, "content": {media_type: {"schema": schema}}}))
}

/// The media type of a whole body.
fn media_type(ty: Option<&Type>) -> &'static str {
    match ty {
        Some(&Type::BYTEA) => "application/octet-stream",
        Some(&(Type::TEXT | Type::VARCHAR)) => "text/plain",
        _ => "application/json",
    }
}

/// Adds a field at a path such as `a.b`.
fn insert(object: &mut Value, path: &str, own: Value, is_required: bool) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = &mut object["properties"][name];
    match rest {
        None => *field = own,
        Some(rest) => {
            if !field.is_object() {
                *field = json!({"type": "object", "properties": {}});
            }
            insert(field, rest, own, is_required);
        }
    }
    if is_required {
        let names = &mut object["required"];
        if !names.is_array() {
            *names = json!([]);
        }
        if let Some(names) = names.as_array_mut().filter(|names| names.iter().all(|known| known != name)) {
            names.push(name.into());
        }
    }
}
