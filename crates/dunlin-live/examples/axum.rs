//! A list that is live: `cargo run --example axum`.
//!
//! `curl -N -H 'Accept: text/event-stream' http://127.0.0.1:3000/notes` watches it;
//! `curl -d hello http://127.0.0.1:3000/notes` adds to it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dunlin_live::{Config, Hub, Request, Snapshot, Source, accepts_events, last_event_id};

#[derive(Clone)]
struct Notes {
    texts: Arc<Mutex<Vec<String>>>,
    hub: Hub,
    source: Source<String>,
}

impl Notes {
    fn text(&self) -> String {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

async fn read(State(notes): State<Notes>, headers: HeaderMap) -> Response {
    if !accepts_events(&headers) {
        return notes.text().into_response();
    }
    let last_event_id = last_event_id(&headers).map(str::to_owned);
    let request = Request { key: b"all".to_vec(), last_event_id, ..Request::default() };
    let look = {
        let notes = notes.clone();
        move || {
            let text = notes.text();
            async move { Ok(Snapshot::Content(text.into())) }
        }
    };
    match notes.source.watch(request, look).await {
        Ok(events) => events.into_response().map(axum::body::Body::new),
        Err(refused) => (StatusCode::SERVICE_UNAVAILABLE, refused.to_string()).into_response(),
    }
}

async fn write(State(notes): State<Notes>, text: String) {
    notes.texts.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    notes.hub.invalidate(&["notes"]);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::new(Config::default());
    let source = hub.source(["notes"]);
    let notes = Notes { texts: Arc::default(), hub, source };
    let service = Router::new().route("/notes", get(read).post(write)).with_state(notes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, service).await?;
    Ok(())
}
