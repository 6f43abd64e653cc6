//! For any URL of an upstream: it is accepted or refused without a panic, and no message has its
//! password or its query.

#![no_main]

use std::cell::RefCell;

use dunlin_fetch::{Client, Config, Proxy, ProxyConfig};
use http::Uri;
use libfuzzer_sys::fuzz_target;

const PASSWORD: &str = "pa55word";
const QUERY: &str = "s3cret";

thread_local! {
    static CLIENT: RefCell<Client> = RefCell::new(Client::new(Config::default()).unwrap());
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (scheme, host, path) = input;
    if [scheme, host, path].iter().any(|part| part.contains(PASSWORD) || part.contains(QUERY)) {
        return;
    }
    CLIENT.with_borrow_mut(|client| {
        for text in [
            format!("{scheme}://user:{PASSWORD}@{host}/{path}?{QUERY}"),
            format!("http://{host}/{path}"),
            format!("http://unix:{path}?{QUERY}"),
        ] {
            let Ok(uri) = text.parse::<Uri>() else { continue };
            if uri.authority().is_some() && uri.path().contains(PASSWORD) {
                // A host in front of the user: the text is a path, which is no secret.
                continue;
            }
            if let Err(error) = Proxy::new(client.clone(), &uri, ProxyConfig::default()) {
                let message = format!("{error} {error:?}");
                assert!(!message.contains(PASSWORD) && !message.contains(QUERY), "{message}");
            }
        }
        // A client keeps an origin for each URL.
        *client = Client::new(Config::default()).unwrap();
    });
});
