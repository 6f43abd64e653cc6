//! §5.3: the dates of `Expires`.

use crate::world::World;

async fn check(expires: &[&str], fresh: bool) {
    let world = World::new();
    let fields: Vec<_> = expires.iter().map(|line| ("expires", *line)).collect();
    world.origin.reply(200, &fields, "content");
    world.get("/a", &[]).await;
    assert_eq!(world.get("/a", &[]).await.is_hit(), fresh, "{expires:?}");
}

#[tokio::test]
async fn the_three_forms_in_any_case() {
    for future in [
        "Thu, 18 Aug 2050 02:01:18 GMT",
        "Tue, 19 Jan 2038 14:14:08 GMT",
        "Sun, 21 Nov 2286 04:46:39 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug  8 02:01:18 2050",
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "THURSDAY, 18-aug-50 02:01:18 gmt",
    ] {
        check(&[future], true).await;
    }
}

#[tokio::test]
async fn an_invalid_date_is_in_the_past() {
    for past in [
        "0",
        "-1",
        "",
        "Thu, 18 Aug 1950 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
    ] {
        check(&[past], false).await;
    }
    let future = "Thu, 18 Aug 2050 02:01:18 GMT";
    check(&[future, future], false).await;
}
