//! §3.3 and §3.4: ranges of stored responses, and parts that are stored and joined.

use crate::world::{Fields, World, headers, response};

const CONTENT: &str = "0123456789";

/// Makes the origin support ranges of the form `bytes=a-b` and `bytes=a-`.
fn ranged(world: &World, fields: Fields<'static>) {
    world.origin.reply_with(move |request| {
        let range = request.headers().get("range").and_then(|range| range.to_str().unwrap().strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return response(200, fields, CONTENT);
        };
        let first: usize = first.parse().unwrap();
        let last = last.parse().map_or(CONTENT.len() - 1, |last: usize| last.min(CONTENT.len() - 1));
        let mut made = response(206, fields, &CONTENT[first..=last]);
        made.headers_mut().extend(headers(&[("content-range", &format!("bytes {first}-{last}/10"))]));
        made
    });
}

async fn part(world: &World, range: &str) -> (u16, String, String) {
    let answer = world.get("/a", &[("range", range)]).await;
    (answer.status.as_u16(), answer.field("content-range").to_owned(), answer.text().to_owned())
}

fn of(status: u16, range: &str, text: &str) -> (u16, String, String) {
    (status, range.to_owned(), text.to_owned())
}

#[tokio::test]
async fn several_ranges_of_a_stored_whole() {
    let content: String = ('a'..='z').cycle().take(1000).collect();
    let world = World::new();
    let fields = [("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-type", "text/plain")];
    world.origin.reply(200, &fields, &content);
    // First from a fill, then from the cache.
    for _ in 0..2 {
        let answer = world.get("/a", &[("range", "bytes=0-1, 500-502, -3")]).await;
        assert_eq!((answer.status.as_u16(), answer.field("content-range")), (206, ""));
        let boundary = answer.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range: &str, text: &str| {
            format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/1000\r\n\r\n{text}")
        };
        let parts = [("0-1", 0..2), ("500-502", 500..503), ("997-999", 997..1000)];
        let parts: String = parts.map(|(range, place)| part(range, &content[place])).concat();
        assert_eq!(answer.text(), format!("{parts}\r\n--{boundary}--\r\n"));
        assert_eq!(answer.field("content-length"), answer.body.len().to_string());
        assert_eq!(answer.field("etag"), "\"a\"");
    }
    assert_eq!(world.origin.count(), 1);
    // Ranges that meet are joined. A range is ignored if its condition fails or there are too many.
    let joined = world.get("/a", &[("range", "bytes=0-1,2-3")]).await;
    assert_eq!((joined.status.as_u16(), joined.text()), (206, "abcd"));
    let conditional = world.get("/a", &[("range", "bytes=0-1,500-502"), ("if-range", "\"b\"")]).await;
    assert_eq!((conditional.status.as_u16(), conditional.text()), (200, content.as_str()));
    let many = format!("bytes={}", (0..40).map(|at| format!("{0}-{0}", at * 20)).collect::<Vec<_>>().join(","));
    assert_eq!(world.get("/a", &[("range", &many)]).await.status.as_u16(), 200);
}

#[tokio::test]
async fn ranges_of_a_stored_whole() {
    let world = World::new();
    world.origin.reply(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], CONTENT);
    world.get("/a", &[]).await;
    assert_eq!(part(&world, "bytes=0-1").await, of(206, "bytes 0-1/10", "01"));
    assert_eq!(part(&world, "bytes=8-").await, of(206, "bytes 8-9/10", "89"));
    assert_eq!(part(&world, "bytes=-1").await, of(206, "bytes 9-9/10", "9"));
    assert_eq!(part(&world, "bytes=-99").await, of(206, "bytes 0-9/10", CONTENT));
    assert_eq!(part(&world, "bytes=10-").await, of(416, "bytes */10", ""));
    assert_eq!(part(&world, "bytes=0-1,3-4").await, of(206, "bytes 0-4/10", "01234"));
    assert_eq!(part(&world, "lines=0-1").await, of(200, "", CONTENT));
    for (condition, status) in [("\"a\"", 206), ("\"b\"", 200), ("W/\"a\"", 200)] {
        let answer = world.get("/a", &[("range", "bytes=0-1"), ("if-range", condition)]).await;
        assert_eq!(answer.status.as_u16(), status, "{condition}");
    }
    assert_eq!(world.get("/a", &[("range", "bytes=0-1"), ("if-none-match", "\"a\"")]).await.status, 304);
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn parts_are_stored_and_used() {
    let world = World::new();
    ranged(&world, &[("cache-control", "max-age=60")]);
    assert_eq!(part(&world, "bytes=4-8").await, of(206, "bytes 4-8/10", "45678"));
    assert_eq!(part(&world, "bytes=4-8").await, of(206, "bytes 4-8/10", "45678"));
    assert_eq!(part(&world, "bytes=6-7").await, of(206, "bytes 6-7/10", "67"));
    assert_eq!(world.origin.count(), 1);
    assert_eq!(part(&world, "bytes=6-9").await, of(206, "bytes 6-9/10", "6789"));
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn a_part_with_a_miscounted_end_counts_by_its_length() {
    for (range, text) in [("bytes=-5", "01234"), ("bytes=6-8", "234"), ("bytes=6-", "234"), ("bytes=-1", "4")] {
        let world = World::new();
        world.origin.reply(206, &[("cache-control", "max-age=60"), ("content-range", "bytes 4-9/10")], "01234");
        part(&world, "bytes=-5").await;
        let (status, _, body) = part(&world, range).await;
        assert_eq!((status, body.as_str(), world.origin.count()), (206, text, 1), "{range}");
    }
}

#[tokio::test]
async fn parts_of_one_content_are_joined() {
    let world = World::new();
    ranged(&world, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]);
    part(&world, "bytes=0-3").await;
    part(&world, "bytes=3-6").await;
    assert_eq!(part(&world, "bytes=1-5").await.2, "12345");
    assert_eq!(world.origin.count(), 2);
    // The rest of the content is requested and joined.
    let whole = world.get("/a", &[]).await;
    assert_eq!((whole.status.as_u16(), whole.text()), (200, CONTENT));
    assert_eq!(whole.cache_status(), "dunlin; fwd=partial; fwd-status=206; ttl=60; stored");
    assert_eq!(world.origin.last().headers()["range"], "bytes=7-");
    assert_eq!(world.origin.last().headers()["if-range"], "\"a\"");
    assert!(world.get("/a", &[]).await.is_hit());
}

#[tokio::test]
async fn without_a_strong_validator_nothing_is_joined() {
    for validator in [&[("cache-control", "max-age=60")][..], &[("cache-control", "max-age=60"), ("etag", "W/\"a\"")]] {
        let world = World::new();
        ranged(&world, validator);
        part(&world, "bytes=0-3").await;
        let whole = world.get("/a", &[]).await;
        assert_eq!((whole.status.as_u16(), whole.text()), (200, CONTENT));
        assert!(!world.origin.last().headers().contains_key("range"));
    }
}

#[tokio::test]
async fn a_206_without_a_valid_content_range_is_not_stored() {
    for range in [&[][..], &[("content-range", "bytes 4-9/20")], &[("content-range", "bytes 9-4/10")]] {
        let world = World::new();
        let mut fields = vec![("cache-control", "max-age=60")];
        fields.extend(range);
        world.origin.reply(206, &fields, "01234");
        world.get("/a", &[("range", "bytes=4-8")]).await;
        world.get("/a", &[("range", "bytes=4-8")]).await;
        assert_eq!(world.origin.count(), 2, "{range:?}");
    }
}
