//! Examines a site: `cargo run -p dunlin-doctor --example examine -- https://example.com/`.

use dunlin_doctor::{Options, examine};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080/".into());
    match examine(&url, &Options::default()).await {
        Ok(report) => print!("{report}"),
        Err(error) => eprintln!("{error}"),
    }
}
