//! Any address to listen on: the text of a configuration, and of a message of the handover.
//!
//! Invariants:
//! - An address is written as a text that is read as the same address, so that a successor finds
//!   the socket that its predecessor sent.
//! - A text is refused or read, and without a panic. A refusal shows the text.

#![no_main]

use std::net::IpAddr;

use dunlin_server::Addr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, IpAddr, u16)| {
    let (text, ip, port) = input;
    let tcp = Addr::from(std::net::SocketAddr::new(ip, port));
    assert_eq!(tcp.to_string().parse(), Ok(tcp));
    for text in [text.to_owned(), format!("unix:{text}"), format!("systemd:{text}"), format!("[{text}]:{port}")] {
        match text.parse::<Addr>() {
            Ok(addr) => {
                let written = addr.to_string();
                assert_eq!(written.parse(), Ok(addr), "{text:?} is written as {written:?}");
            }
            Err(error) => assert!(error.to_string().contains(&format!("{text:?}"))),
        }
    }
});
