//! `allow` and `deny`: the networks of a route's clients.

use std::net::IpAddr;

use dunlin_http::Network;

use crate::reader::Section;

/// The networks whose clients are admitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    /// The networks that are admitted; empty if all are.
    allow: Vec<Network>,
    /// The networks that are refused. They have precedence.
    deny: Vec<Network>,
}

// === impl Networks ===

impl Networks {
    /// Reads the keys of a route.
    pub(super) fn read(table: &mut Section<'_>) -> Self {
        Self { allow: table.or("allow", Vec::new()), deny: table.or("deny", Vec::new()) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Returns `true` if a client at `ip` is admitted. A client without an address, on a Unix
    /// socket, is in no network.
    pub(super) fn admit(&self, ip: Option<IpAddr>) -> bool {
        let is_in = |networks: &[Network]| ip.is_some_and(|ip| networks.iter().any(|network| network.contains(ip)));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_by_network() {
        #[track_caller]
        fn check(allow: &[&str], deny: &[&str], ip: Option<&str>, expect: bool) {
            let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let networks = Networks { allow: networks(allow), deny: networks(deny) };
            assert_eq!(networks.admit(ip.map(|ip| ip.parse().unwrap())), expect, "{networks:?} {ip:?}");
        }
        check(&[], &[], Some("192.0.2.1"), true);
        check(&[], &[], None, true);
        check(&["10.0.0.0/8"], &[], Some("10.1.2.3"), true);
        check(&["10.0.0.0/8"], &[], Some("::ffff:10.1.2.3"), true);
        check(&["10.0.0.0/8"], &[], Some("192.0.2.1"), false);
        check(&["10.0.0.0/8"], &[], None, false);
        check(&["10.0.0.0/8"], &["10.0.0.1"], Some("10.0.0.1"), false);
        check(&[], &["2001:db8::/32"], Some("2001:db8::1"), false);
        check(&[], &["2001:db8::/32"], None, true);
    }
}
