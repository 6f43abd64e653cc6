//! [`Methods`]: the methods that a route accepts.

use std::fmt;

use http::Method;

use super::value::{Read, Value};

/// The methods that a route accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    /// All methods, unregistered ones included.
    Any,
    /// These methods. HEAD comes with GET.
    Only(Vec<Method>),
}

/// The name of one method.
struct MethodName(Method);

// === impl Methods ===

impl Methods {
    /// Reads one method, or a list of them.
    pub(crate) fn read(value: Value<'_>) -> Option<Self> {
        let methods: Vec<Method> = value.list(MethodName::read)?.into_iter().map(|MethodName(method)| method).collect();
        if methods.is_empty() {
            return value.wrong("an empty list", MethodName::EXPECTED, None);
        }
        Some(Self::Only(methods))
    }

    /// GET alone.
    pub(crate) fn get() -> Self {
        Self::Only(vec![Method::GET])
    }

    /// Returns `true` if each method is safe (RFC 9110 §9.2.1): its requests have no effect.
    pub(crate) fn all_safe(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Only(methods) => methods.iter().all(Method::is_safe),
        }
    }

    /// Returns `true` if the content of a request means something for any of the methods (RFC 9110
    /// §9.3, RFC 10008 §2).
    pub(crate) fn have_bodies(&self) -> bool {
        let has_none = |method: &Method| {
            matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::CONNECT)
        };
        match self {
            Self::Any => true,
            Self::Only(methods) => !methods.iter().all(has_none),
        }
    }

    /// The methods as a router takes them: an empty slice stands for all.
    pub(crate) fn as_slice(&self) -> &[Method] {
        match self {
            Self::Any => &[],
            Self::Only(methods) => methods,
        }
    }

    /// Returns `true` if `other` has a method of these.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Only(ours), Self::Only(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            _ => true,
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Only(methods) => {
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl Read for MethodName {
    const EXPECTED: &'static str = "a method such as \"GET\" or \"POST\", or a list of them";

    fn read(value: Value<'_>) -> Option<Self> {
        let text = value.str(Self::EXPECTED)?;
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            // RFC 9110 §9.1: methods are case-sensitive, and the registered ones are in capitals.
            Ok(method) if upper == text => Some(Self(method)),
            _ => value.wrong(format_args!("\"{text}\""), Self::EXPECTED, (upper != text).then_some(upper)),
        }
    }
}
