//! [`Failure`]: the reason why there is no new certificate, and the advice for operators.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use instant_acme::{Error as AcmeError, Problem};
use serde::{Deserialize, Serialize};

/// The reason why there is no new certificate.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The event, and the advice for operators.
    pub(crate) message: String,
    /// The wait that the authority asks for.
    pub(crate) retry_after: Option<Duration>,
}

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The authority does not respond, or not in time, or it does not speak ACME.
    Unreachable,
    /// The authority refused.
    Refused,
    /// The certificate cannot be used.
    Unusable,
    /// The storage cannot be written.
    Storage,
}

/// The failures since the last certificate, as the storage has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The number of failures in sequence.
    pub(crate) count: u32,
    /// The time of the next attempt, in seconds from 1970.
    pub(crate) next: u64,
    pub(crate) message: String,
}

/// A request that got no response of an ACME server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// The limit of a message, in bytes. Parts of it come from the authority.
const MAX_MESSAGE: usize = 1000;

/// Types of problems (RFC 8555 §6.7), and the advice for each.
const ADVICE: &[(&str, &str)] = &[
    ("accountDoesNotExist", "a new account will be registered"),
    ("badCSR", "check that the authority issues for this name"),
    ("caa", "allow the authority in the CAA records of the name"),
    ("connection", "the authority has to reach this service by the name; check its address and the firewall"),
    ("dns", "check the DNS records of the name"),
    ("externalAccountRequired", "set the external account that the authority gave you"),
    ("incorrectResponse", "another server answers for the name; check its address and proxies in front"),
    ("invalidContact", "correct the email address"),
    ("rateLimited", "the limit of the authority is reached; for trials, use its staging directory"),
    ("rejectedIdentifier", "the authority does not issue for this name; remove it"),
    ("tls", "the authority has to reach this service by the name, without another TLS server in front"),
    ("unauthorized", "another server answers for the name; check its address and proxies in front"),
    ("unsupportedContact", "correct the email address"),
    ("userActionRequired", "visit the authority's site and agree to its terms"),
];

// === impl Failure ===

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: shortened(&message.into()), retry_after: None }
    }

    /// The storage cannot be read or written.
    pub(crate) fn storage(path: &std::path::Path, error: &std::io::Error) -> Self {
        let message =
            format!("the storage cannot be used: {}: {error}; make it writable for this service", path.display());
        Self::new(Reason::Storage, message)
    }

    /// The authority refused, and says why.
    pub(crate) fn refused(problem: &Problem) -> Self {
        Self::new(Reason::Refused, describe(problem))
    }

    /// Returns `true` if the authority has forgotten the account.
    pub(crate) fn is_unknown_account(error: &AcmeError) -> bool {
        matches!(error, AcmeError::Api(problem) if kind(problem) == "accountDoesNotExist")
    }
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        match error {
            AcmeError::Api(problem) => Self::refused(&problem),
            AcmeError::Timeout(_) => Self::new(Reason::Unreachable, "the authority did not finish the order in time"),
            AcmeError::Json(error) => {
                let message = format!("the server does not speak ACME: {error}; check the directory");
                Self::new(Reason::Unreachable, message)
            }
            AcmeError::Other(error) if error.is::<Unreachable>() => Self::new(Reason::Unreachable, error.to_string()),
            error => Self::new(Reason::Refused, chain(&error)),
        }
    }
}

// === impl Reason ===

impl Reason {
    /// The value of a label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Unusable => "unusable",
            Self::Storage => "storage",
        }
    }
}

// === impl Record ===

impl Record {
    pub(crate) fn next(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.next)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The text of an error with its causes.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The last part of a problem's type, such as `rateLimited`.
fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

fn describe(problem: &Problem) -> String {
    // An order with several problems has the reasons in its subproblems.
    let first = problem.subproblems.first();
    let inner = first.and_then(|first| first.r#type.as_deref()).and_then(|kind| kind.rsplit(':').next());
    let kind = inner.unwrap_or_else(|| kind(problem));
    let detail = first.and_then(|first| first.detail.as_deref()).or(problem.detail.as_deref()).unwrap_or_default();
    let advice = ADVICE.iter().find(|(name, _)| *name == kind).map(|(_, advice)| *advice);
    let detail = if detail.is_empty() { "it gives no reason" } else { detail };
    let label = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
    match advice {
        Some(advice) => format!("the authority refused: {detail}{label}; {advice}"),
        None => format!("the authority refused: {detail}{label}"),
    }
}

/// One line of limited length.
fn shortened(message: &str) -> String {
    let mut message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        #[track_caller]
        fn check(problem: &str, expect: &str) {
            assert_eq!(Failure::refused(&serde_json::from_str(problem).unwrap()).message, expect);
        }
        check(
            r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"}"#,
            "the authority refused: too many certificates (rateLimited); the limit of the authority is reached; for \
             trials, use its staging directory",
        );
        check(r#"{"detail": "no"}"#, "the authority refused: no");
        check("{}", "the authority refused: it gives no reason");
        check(
            r#"{"type": "urn:ietf:params:acme:error:compound", "subproblems": [{"type": "urn:x:caa", "detail": "a\nb"}]}"#,
            "the authority refused: a b (caa); allow the authority in the CAA records of the name",
        );
    }

    #[test]
    fn a_message_has_a_limit() {
        assert_eq!(Failure::new(Reason::Refused, "ü".repeat(5000)).message.len(), MAX_MESSAGE);
    }
}
