//! Round trips of reads, as a relay on the wire sees them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dunlin_pg::{Access, Config, Query, Rows, Setting, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Fixture, ask, config, get, named, postgres, text};

/// The client's bytes by turn. A turn ends when the server answers.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<(Vec<Vec<u8>>, bool)>>);

impl Said {
    fn client(&self, bytes: &[u8]) {
        let (turns, answered) = &mut *self.0.lock().unwrap();
        if std::mem::take(answered) || turns.is_empty() {
            turns.push(Vec::new());
        }
        turns.last_mut().unwrap().extend_from_slice(bytes);
    }

    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }
}

/// Listens, and relays to the server at `to`.
async fn relay(to: SocketAddr, said: Said) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = TcpStream::connect(to).await.unwrap().into_split();
            let (there, back) = (said.clone(), said.clone());
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
                    there.client(&bytes[..n]);
                    to_server.write_all(&bytes[..n]).await.unwrap();
                }
            });
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
                    back.0.lock().unwrap().1 = true;
                    let _ = to_client.write_all(&bytes[..n]).await;
                }
            });
        }
    });
    addr
}

/// The types of a client's messages. Each message is a letter and a length that includes itself.
fn kinds(mut bytes: &[u8]) -> String {
    let mut kinds = String::new();
    while let [kind, a, b, c, d, ..] = *bytes {
        kinds.push(char::from(kind));
        bytes = &bytes[1 + u32::from_be_bytes([a, b, c, d]) as usize..];
    }
    kinds
}

async fn relayed(name: &str, said: &Said) -> Fixture {
    let url = postgres().url();
    let server = url.split(['@', '/']).find_map(|part| part.parse::<SocketAddr>().ok()).unwrap();
    let addr = relay(server, said.clone()).await;
    let url = url.replace(&server.to_string(), &addr.to_string());
    Fixture::new(Config { shared: 1, ..Config { url: Config::new(url).url, ..config(name) } })
}

#[tokio::test]
async fn a_read_with_settings_is_one_round_trip() {
    let said = Said::default();
    let fixture = relayed("r_settings", &said).await;
    let query = Query {
        params: named(&["n"]),
        rows: Rows::One,
        settings: vec![Setting::new("app.user", Source::named("user"))],
        ..Query::new(["SELECT $1::bigint AS n, current_setting('app.user') AS u"])
    };
    let service = fixture.service(query);
    let ask_one = async || text(&ask(&service, get("/?n=1&user=ada", &[])).await).to_owned();
    assert_eq!(ask_one().await, r#"{"n":1,"u":"ada"}"#);
    // The shared connection is open after this read, so that it sends nothing later.
    let plain = fixture.service(Query { rows: Rows::One, ..Query::new(["SELECT 1 AS one"]) });
    assert_eq!(text(&ask(&plain, get("/", &[])).await), r#"{"one":1}"#);
    for _ in 0..3 {
        said.take();
        assert_eq!(ask_one().await, r#"{"n":1,"u":"ada"}"#);
        // BEGIN; Bind, Execute and Sync for the settings, and for the statement; COMMIT.
        let turns: Vec<String> = said.take().iter().map(|turn| kinds(turn)).collect();
        assert_eq!(turns, ["QBESBESQ"]);
    }
}

#[tokio::test]
async fn a_write_with_settings_waits_for_them() {
    let said = Said::default();
    let fixture = relayed("r_write", &said).await;
    let service = fixture.service(Query {
        rows: Rows::One,
        access: Access::Write,
        settings: vec![Setting::new("app.user", Source::named("user"))],
        ..Query::new(["SELECT current_setting('app.user') AS u"])
    });
    let ask_one = async || text(&ask(&service, get("/?user=ada", &[])).await).to_owned();
    assert_eq!(ask_one().await, r#"{"u":"ada"}"#);
    said.take();
    assert_eq!(ask_one().await, r#"{"u":"ada"}"#);
    let turns: Vec<String> = said.take().iter().map(|turn| kinds(turn)).collect();
    assert_eq!(turns, ["QPBDES", "BES", "Q"]);
}

#[tokio::test]
async fn a_declared_read_is_one_round_trip_without_a_transaction() {
    let said = Said::default();
    let fixture = relayed("r_trips", &said).await;
    let query = Query { params: named(&["n"]), rows: Rows::One, ..Query::new(["SELECT $1::bigint AS n"]) };
    let service = fixture.service(query);
    // The first read opens the connection, on which the statement is prepared once.
    assert_eq!(text(&ask(&service, get("/", &[("n", "0")])).await), r#"{"n":0}"#);
    said.take();
    for n in 1..=3 {
        assert_eq!(text(&ask(&service, get("/", &[("n", &n.to_string())])).await), format!(r#"{{"n":{n}}}"#));
        let turns = said.take();
        // Bind, Execute, Sync: the extended query without Parse, in one message group.
        assert_eq!(turns.iter().map(|turn| kinds(turn)).collect::<Vec<_>>(), ["BES"]);
    }
}
