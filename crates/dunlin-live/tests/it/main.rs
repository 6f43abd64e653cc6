//! Sources and their streams, over the public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use dunlin_live::{Body, Config, Hub, Refused, Request, Snapshot, Source};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

/// A value that is read, with the number of reads.
#[derive(Clone)]
struct Value(Arc<Mutex<(Text, u64)>>);

type Text = Result<Option<String>, String>;

impl Value {
    fn new(text: &str) -> Self {
        let value = Self(Arc::new(Mutex::new((Ok(None), 0))));
        value.set(text);
        value
    }

    fn set(&self, text: &str) {
        self.0.lock().0 = Ok(Some(text.to_owned()));
    }

    fn put(&self, result: Text) {
        self.0.lock().0 = result;
    }

    fn reads(&self) -> u64 {
        self.0.lock().1
    }

    fn look(&self) -> impl Fn() -> std::future::Ready<Result<Snapshot, String>> + Send + Sync + use<> {
        let this = self.clone();
        move || {
            let mut value = this.0.lock();
            value.1 += 1;
            std::future::ready(match &value.0 {
                Ok(Some(text)) => Ok(Snapshot::Content(text.clone().into())),
                Ok(None) => Ok(Snapshot::Gone),
                Err(error) => Err(error.clone()),
            })
        }
    }
}

fn hub() -> (Hub, Source<String>) {
    let hub = Hub::new(Config::default());
    let source = hub.source(["a", "b"]);
    (hub, source)
}

fn request(key: &str) -> Request {
    Request { key: key.as_bytes().to_vec(), ..Request::default() }
}

async fn open(source: &Source<String>, request: Request, value: &Value) -> Body {
    source.watch(request, value.look()).await.expect("a stream").into_body()
}

/// The next frame that is no heartbeat and not the retry time; `None` at the end.
async fn next(body: &mut Body) -> Option<String> {
    loop {
        let frame = body.frame().await?.expect("no error").into_data().expect("data");
        let text = String::from_utf8(frame.to_vec()).unwrap();
        if !text.starts_with(':') && !text.starts_with("retry: ") {
            return Some(text);
        }
    }
}

/// The data of the next event.
async fn data(body: &mut Body) -> String {
    let event = next(body).await.expect("an event");
    event.split_once("\ndata: ").expect("its data").1.trim_end().to_owned()
}

/// Returns `true` if nothing but heartbeats comes for a minute.
async fn is_silent(body: &mut Body) -> bool {
    tokio::time::timeout(Duration::from_secs(60), next(body)).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn one_look_serves_all_watchers() {
    let ((hub, source), value) = (hub(), Value::new("1"));
    let mut bodies = Vec::new();
    for _ in 0..100 {
        bodies.push(open(&source, request("k"), &value).await);
    }
    for body in &mut bodies {
        assert_eq!(data(body).await, "1");
    }
    assert_eq!(value.reads(), 1);
    value.set("2");
    hub.invalidate(&["other"]);
    hub.invalidate(&["b"]);
    for body in &mut bodies {
        assert_eq!(data(body).await, "2");
    }
    assert_eq!(value.reads(), 2);
    let stats = hub.stats();
    assert_eq!((stats.watchers, stats.topics, stats.looks, stats.events), (100, 1, 2, 200));
    drop(bodies);
    let stats = hub.stats();
    assert_eq!((stats.watchers, stats.topics), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_storm_costs_ten_looks_a_second() {
    let ((hub, source), value) = (hub(), Value::new("0"));
    let mut body = open(&source, request("k"), &value).await;
    for n in 1..=2000 {
        value.set(&n.to_string());
        hub.invalidate(&["a"]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut last = String::new();
    while last != "2000" {
        last = data(&mut body).await;
    }
    assert!((15..=25).contains(&value.reads()), "{} reads in two seconds", value.reads());
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_result_is_not_sent() {
    let ((hub, source), value) = (hub(), Value::new("1"));
    let mut body = open(&source, request("k"), &value).await;
    let event = next(&mut body).await.unwrap();
    hub.invalidate_all();
    assert!(is_silent(&mut body).await);
    assert_eq!((value.reads(), hub.stats().unchanged), (2, 1));

    let id = event.strip_prefix("id: ").unwrap().split('\n').next().unwrap().to_owned();
    let again = Request { last_event_id: Some(id), ..request("k") };
    let mut body = open(&source, again.clone(), &value).await;
    assert!(is_silent(&mut body).await);
    value.set("2");
    hub.invalidate_all();
    assert_eq!(data(&mut body).await, "2");
    let mut body = open(&source, again, &value).await;
    assert_eq!(data(&mut body).await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_gets_the_newest() {
    let ((hub, source), value) = (hub(), Value::new("0"));
    let mut slow = open(&source, request("k"), &value).await;
    let mut quick = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut slow).await, "0");
    for n in ["1", "2", "3"] {
        value.set(n);
        hub.invalidate_all();
        while data(&mut quick).await != n {}
    }
    assert_eq!(data(&mut slow).await, "3");
    assert_eq!(hub.stats().skipped, 2);
}

#[tokio::test(start_paused = true)]
async fn streams_survive_failures() {
    let ((hub, source), value) = (hub(), Value::new(""));
    value.put(Err("away".into()));
    let refused = source.watch(request("k"), value.look()).await;
    assert!(matches!(refused, Err(Refused::Failed(error)) if error == "away"));
    assert_eq!(hub.stats().topics, 0);
    value.set("1");
    let mut body = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut body).await, "1");
    value.put(Err("away".into()));
    hub.invalidate_all();
    assert!(is_silent(&mut body).await);
    let reads = value.reads();
    assert!((10..40).contains(&reads), "{reads} looks in a minute");
    assert!(source.watch(request("k"), value.look()).await.is_err());
    value.set("2");
    assert_eq!(data(&mut body).await, "2");
    assert!(hub.stats().failed >= 10);
}

#[tokio::test(start_paused = true)]
async fn a_thing_may_go() {
    let ((hub, source), value) = (hub(), Value::new(""));
    value.put(Ok(None));
    assert!(matches!(source.watch(request("k"), value.look()).await, Err(Refused::Gone)));
    value.set("1");
    let mut body = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut body).await, "1");
    value.put(Ok(None));
    hub.invalidate_all();
    assert_eq!(data(&mut body).await, "null");
    assert!(matches!(source.watch(request("k"), value.look()).await, Err(Refused::Gone)));
    value.set("2");
    hub.invalidate_all();
    assert_eq!(data(&mut body).await, "2");
}

#[tokio::test(start_paused = true)]
async fn keys_share_nothing() {
    let ((hub, source), one, two) = (hub(), Value::new("1"), Value::new("2"));
    let mut first = open(&source, request("ada"), &one).await;
    let mut second = open(&source, request("eve"), &two).await;
    assert_eq!((data(&mut first).await, data(&mut second).await), ("1".to_owned(), "2".to_owned()));
    one.set("3");
    hub.invalidate_all();
    assert_eq!(data(&mut first).await, "3");
    assert!(is_silent(&mut second).await);
}

#[tokio::test(start_paused = true)]
async fn while_invalidations_are_lost_each_stream_begins_with_a_look() {
    let ((hub, source), value) = (hub(), Value::new("1"));
    let mut first = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut first).await, "1");
    value.set("2");
    let mut second = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut second).await, "1", "nothing said that it has changed");
    hub.set_lost(true);
    let mut third = open(&source, request("k"), &value).await;
    for body in [&mut first, &mut second, &mut third] {
        assert_eq!(data(body).await, "2");
    }
    assert_eq!(value.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn streams_end() {
    let ((hub, source), value) = (hub(), Value::new("1"));
    let short = Request { lifetime: Some(Duration::from_secs(20)), ..request("k") };
    let mut short = open(&source, short, &value).await;
    let mut long = open(&source, request("k"), &value).await;
    assert_eq!((data(&mut short).await, data(&mut long).await), ("1".to_owned(), "1".to_owned()));
    assert_eq!(next(&mut short).await, None);
    assert!(is_silent(&mut long).await);
    hub.close();
    assert_eq!(next(&mut long).await, None);
    assert!(matches!(source.watch(request("k"), value.look()).await, Err(Refused::Closed)));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_in_silence() {
    let ((_, source), value) = (hub(), Value::new("1"));
    let mut body = open(&source, request("k"), &value).await;
    assert_eq!(data(&mut body).await, "1");
    let start = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ":\n\n");
    }
    let passed = start.elapsed().as_secs();
    assert!((110..=150).contains(&passed), "ten heartbeats in {passed} s");
}
