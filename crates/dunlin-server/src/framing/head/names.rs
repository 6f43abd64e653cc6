//! The names of common fields.

use http::HeaderName;

/// A common name, which is not made from the bytes of the head.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: HeaderName,
    pub(super) role: Role,
}

/// The meaning of a field for the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Host,
    Expect,
    Te,
    Upgrade,
    Connection,
    Length,
    Coding,
    /// It has none.
    None,
}

/// Makes a function that switches on the length first, so that a comparison takes few instructions.
macro_rules! names {
    ($($len:literal { $($text:literal $role:ident)+ })+) => {
        /// Returns the common name that `name` is, in any case.
        pub(super) fn known(name: &[u8]) -> Option<&'static Known> {
            match name.len() {
                $($len => {
                    let name: &[u8; $len] = name.try_into().ok()?;
                    $({
                        static KNOWN: Known = Known { name: HeaderName::from_static($text), role: Role::$role };
                        if is(name, $text) {
                            return Some(&KNOWN);
                        }
                    })+
                    None
                })+
                _ => None,
            }
        }

        #[cfg(test)]
        pub(super) const ALL: &[(usize, &str, Role)] = &[$($(($len, $text, Role::$role),)+)+];
    };
}

// Every field with a role must be here. The others are common in requests of browsers, proxies and
// API clients.
names! {
    2 { "te" Te }
    3 { "dnt" None "via" None }
    4 { "host" Host "from" None }
    5 { "range" None }
    6 { "accept" None "cookie" None "origin" None "expect" Expect "pragma" None }
    7 { "referer" None "upgrade" Upgrade "sec-gpc" None }
    8 { "if-match" None "if-range" None "priority" None }
    9 { "forwarded" None "sec-ch-ua" None "x-real-ip" None }
    10 { "user-agent" None "connection" Connection "keep-alive" None "tracestate" None }
    11 { "traceparent" None }
    12 { "content-type" None "x-request-id" None "max-forwards" None }
    13 { "authorization" None "cache-control" None "if-none-match" None }
    14 { "content-length" Length "sec-fetch-site" None "sec-fetch-mode" None "sec-fetch-dest" None "sec-fetch-user" None }
    15 { "accept-encoding" None "accept-language" None "x-forwarded-for" None }
    16 { "content-encoding" None "sec-ch-ua-mobile" None "x-forwarded-host" None "x-requested-with" None }
    17 { "if-modified-since" None "transfer-encoding" Coding "x-forwarded-proto" None "sec-websocket-key" None }
    18 { "sec-ch-ua-platform" None }
    19 { "if-unmodified-since" None }
    25 { "upgrade-insecure-requests" None }
}

/// Returns `true` if `name` is `text`, which is in lower case, in any case.
#[inline(always)]
fn is<const LEN: usize>(name: &[u8; LEN], text: &str) -> bool {
    let mut differ = 0;
    for (byte, own) in name.iter().zip(text.as_bytes()) {
        // The bit makes two letters equal. It makes CR equal to `-` as well, but no name has CR.
        let fold = if own.is_ascii_lowercase() { 0x20 } else { 0 };
        differ |= (byte | fold) ^ own;
    }
    differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_common_names_are_found_in_any_case() {
        for (len, text, role) in ALL {
            assert_eq!(text.len(), *len);
            let found = |name: &[u8]| known(name).map(|known| (known.name.as_str(), known.role));
            for name in [text.to_string(), text.to_uppercase()] {
                assert_eq!(found(name.as_bytes()), Some((*text, *role)));
                for at in 0..*len {
                    for byte in 0..=u8::MAX {
                        let mut other = name.clone().into_bytes();
                        other[at] = byte;
                        let expect = ALL.iter().find(|(_, text, _)| text.as_bytes().eq_ignore_ascii_case(&other));
                        assert_eq!(found(&other), expect.map(|(_, text, role)| (*text, *role)), "{other:?}");
                    }
                }
            }
        }
    }
}
