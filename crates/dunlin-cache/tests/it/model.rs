//! Random traffic in virtual time, compared with a naive model of RFC 9111: one response for each
//! URL and variant, and the rules applied to it literally.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dunlin_cache::RoutePolicy;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::world::{World, response, settle};

/// A step of the traffic.
#[derive(Clone, Debug)]
enum Event {
    Get {
        url: u8,
        by: u8,
        directive: Directive,
        reply: Control,
    },
    Post {
        url: u8,
        succeeds: bool,
    },
    InvalidateGroup,
    Purge {
        url: u8,
    },
    Flush,
    /// The origin's content of a URL changes.
    Change {
        url: u8,
    },
    Advance(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Nothing,
    NoCache,
    MaxAge(u64),
    MinFresh(u64),
    MaxStale(u64),
}

/// The `Cache-Control` of a response.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    max_age: u64,
    no_store: bool,
    no_cache: bool,
    must_revalidate: bool,
    while_revalidate: u64,
}

/// The response that the model remembers for a key.
#[derive(Clone, Copy, Debug)]
struct Known {
    content: u32,
    at: u64,
    control: Control,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    known: HashMap<(u8, u8), Known>,
    content: HashMap<u8, u32>,
}

/// The response that the model expects for a GET.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The remembered content at this age, perhaps with a revalidation in the background.
    Stored { content: u32, age: u64, refreshed: bool },
    /// The current content of the origin.
    Origin { content: u32 },
}

// === impl Control ===

impl Control {
    fn text(self) -> String {
        let mut text = format!("max-age={}, stale-while-revalidate={}", self.max_age, self.while_revalidate);
        for (set, name) in
            [(self.no_store, "no-store"), (self.no_cache, "no-cache"), (self.must_revalidate, "must-revalidate")]
        {
            if set {
                text = format!("{text}, {name}");
            }
        }
        text
    }
}

// === impl Directive ===

impl Directive {
    fn text(self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::NoCache => "no-cache".to_owned(),
            Self::MaxAge(seconds) => format!("max-age={seconds}"),
            Self::MinFresh(seconds) => format!("min-fresh={seconds}"),
            Self::MaxStale(seconds) => format!("max-stale={seconds}"),
        }
    }
}

// === impl Model ===

impl Model {
    /// `/1` varies by `foo`, the others do not.
    fn key(url: u8, by: u8) -> (u8, u8) {
        (url, if url == 1 { by } else { 0 })
    }

    fn get(&mut self, url: u8, by: u8, directive: Directive, reply: Control) -> Expected {
        let key = Self::key(url, by);
        let current = self.content.get(&url).copied().unwrap_or(0);
        let usable =
            self.known.get(&key).and_then(|known| self.usable(known, directive).map(|refreshed| (*known, refreshed)));
        let forwarded = usable.is_none_or(|(_, refreshed)| refreshed);
        if forwarded {
            let known = Known { content: current, at: self.now, control: reply };
            if reply.no_store {
                self.known.remove(&key)
            } else {
                self.known.insert(key, known)
            };
        }
        match usable {
            Some((known, refreshed)) => {
                Expected::Stored { content: known.content, age: self.now - known.at, refreshed }
            }
            None => Expected::Origin { content: current },
        }
    }

    /// Returns `Some` if the response may be reused, with `true` if it is revalidated in the
    /// background.
    fn usable(&self, known: &Known, directive: Directive) -> Option<bool> {
        let (age, Control { max_age, no_cache, must_revalidate, while_revalidate, .. }) =
            (self.now - known.at, known.control);
        if no_cache || directive == Directive::NoCache {
            return None;
        }
        if age < max_age {
            return match directive {
                Directive::MaxAge(limit) if age > limit => None,
                Directive::MinFresh(limit) if max_age - age < limit => None,
                _ => Some(false),
            };
        }
        let staleness = age - max_age;
        match directive {
            _ if must_revalidate => None,
            Directive::MinFresh(_) => None,
            Directive::MaxAge(limit) if age > limit => None,
            Directive::MaxStale(limit) if staleness <= limit => Some(false),
            _ => (staleness < while_revalidate).then_some(true),
        }
    }

    fn forget(&mut self, url: Option<u8>) {
        self.known.retain(|(of, _), _| url.is_some_and(|url| url != *of));
    }
}

fn world(content: &Arc<Mutex<(HashMap<u8, u32>, Control)>>) -> World {
    let world = World::with(RoutePolicy { groups: vec!["all".into()], ..RoutePolicy::default() });
    let content = Arc::clone(content);
    world.origin.reply_with(move |request| {
        if request.method() == "POST" {
            return response(if request.headers().contains_key("fails") { 409 } else { 200 }, &[], "");
        }
        let (content, control) = &*content.lock().unwrap();
        let url: u8 = request.uri().path()[1..].parse().unwrap();
        let text = content.get(&url).copied().unwrap_or(0).to_string();
        let (control, etag) = (control.text(), format!("\"{text}\""));
        let vary = if url == 1 { "foo" } else { "" };
        let fields = [("cache-control", control.as_str()), ("etag", &etag), ("vary", vary)];
        let same = request.headers().get("if-none-match").is_some_and(|condition| *condition == *etag);
        if same { response(304, &fields, "") } else { response(200, &fields, text) }
    });
    world
}

async fn run(events: Vec<Event>) {
    let shared = Arc::new(Mutex::new((HashMap::new(), Control::default())));
    let world = world(&shared);
    let mut model = Model::default();
    for (at, event) in events.iter().enumerate() {
        match *event {
            Event::Get { url, by, directive, reply } => {
                shared.lock().unwrap().1 = reply;
                let expected = model.get(url, by, directive, reply);
                let before = world.origin.count();
                let (path, by) = (format!("/{url}"), by.to_string());
                let answer = world.get(&path, &[("foo", &by), ("cache-control", &directive.text())]).await;
                settle().await;
                let calls = world.origin.count() - before;
                let content = answer.text().parse().unwrap();
                let got = if answer.is_hit() {
                    Expected::Stored { content, age: answer.field("age").parse().unwrap(), refreshed: calls == 1 }
                } else {
                    Expected::Origin { content }
                };
                assert_eq!(got, expected, "event {at} of {events:#?}: {}", answer.cache_status());
                assert_eq!(answer.status, 200);
            }
            Event::Post { url, succeeds } => {
                let fields = [("fails", "")];
                world.fetch("POST", &format!("/{url}"), &fields[usize::from(succeeds)..]).await;
                if succeeds {
                    model.forget(Some(url));
                }
            }
            Event::Purge { url } => {
                world.cache.purge_url(&format!("http://example.com/{url}").parse().unwrap());
                model.forget(Some(url));
            }
            Event::InvalidateGroup => {
                world.cache.invalidate_groups(&["all"]);
                model.forget(None);
            }
            Event::Flush => {
                world.cache.purge_all();
                model.forget(None);
            }
            Event::Change { url } => {
                *model.content.entry(url).or_default() += 1;
                shared.lock().unwrap().0.clone_from(&model.content);
            }
            Event::Advance(seconds) => {
                world.advance(seconds);
                model.now += seconds;
            }
        }
    }
}

fn control() -> impl Strategy<Value = Control> {
    let rarely = || proptest::bool::weighted(0.1);
    (select(vec![0_u64, 1, 5, 30]), rarely(), rarely(), rarely(), select(vec![0_u64, 0, 5])).prop_map(
        |(max_age, no_store, no_cache, must_revalidate, while_revalidate)| Control {
            max_age,
            no_store,
            no_cache,
            must_revalidate,
            while_revalidate,
        },
    )
}

fn directive() -> impl Strategy<Value = Directive> {
    prop_oneof![
        6 => Just(Directive::Nothing),
        1 => Just(Directive::NoCache),
        1 => (0..20_u64).prop_map(Directive::MaxAge),
        1 => (0..20_u64).prop_map(Directive::MinFresh),
        1 => (0..20_u64).prop_map(Directive::MaxStale),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let url = || 0..3_u8;
    prop_oneof![
        20 => (url(), 0..2_u8, directive(), control()).prop_map(|(url, by, directive, reply)| Event::Get { url, by, directive, reply }),
        8 => select(vec![1_u64, 2, 4, 5, 10, 40]).prop_map(Event::Advance),
        4 => url().prop_map(|url| Event::Change { url }),
        2 => (url(), any::<bool>()).prop_map(|(url, succeeds)| Event::Post { url, succeeds }),
        1 => url().prop_map(|url| Event::Purge { url }),
        1 => Just(Event::InvalidateGroup),
        1 => Just(Event::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_response_is_the_one_that_the_model_expects(events in vec(event(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(events));
    }
}
