//! [`Basic`]: a user and a password (RFC 7617).

mod password;
mod stats;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use dunlin_http::{ClientInfo, Counter, Identity};
use http::HeaderValue;
use http::request::Parts;
use tokio::sync::Semaphore;

pub use stats::BasicStats;
pub use users::Users;

use crate::challenge::challenge;
use crate::remembered::Remembered;
use crate::{AuthFuture, Authenticate, Credentials, Outcome, Refusal};

/// The time for which a verified password is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// The number of passwords that are remembered.
const MAX_REMEMBERED: usize = 4096;
/// The number of passwords that may wait to be verified, for each thread.
const MAX_WAITING_PER_THREAD: usize = 32;

/// Verifies user names and passwords.
///
/// Passwords are verified on tokio's threads for blocking work, a limited number at a time. If too
/// many wait, further ones are refused with 503. A result is remembered for a minute, and
/// concurrent requests with the same password share one verification: a page of 50 files needs one.
#[derive(Clone, Debug)]
pub struct Basic(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    users: ArcSwap<Users>,
    challenge: HeaderValue,
    remembered: Remembered<bool>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Passwords that were verified, without remembered results.
    verified: Counter,
    /// Passwords that were not verified, because too many waited.
    overloaded: Counter,
}

// === impl Basic ===

impl Basic {
    /// Verifies the passwords of `users`. Browsers show the realm when they prompt for a password.
    #[must_use]
    pub fn new(users: Users, realm: &str) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            users: ArcSwap::from_pointee(users),
            challenge: challenge("Basic", realm, ", charset=\"UTF-8\""),
            remembered: Remembered::new(MAX_REMEMBERED),
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads * MAX_WAITING_PER_THREAD)),
            verified: Counter::default(),
            overloaded: Counter::default(),
        }))
    }

    /// Replaces the users, for example after their file has changed, and forgets all results.
    pub fn replace(&self, users: Users) {
        self.0.users.store(Arc::new(users));
        self.0.remembered.clear();
    }

    /// The verifications so far.
    #[must_use]
    pub fn stats(&self) -> BasicStats {
        BasicStats { verified: self.0.verified.get(), overloaded: self.0.overloaded.get() }
    }
}

impl Authenticate for Basic {
    fn authenticate(&self, request: &Parts, _: &ClientInfo) -> AuthFuture {
        let inner = &self.0;
        let Some(Credentials::Basic { user, password }) = Credentials::of(&request.headers) else {
            return AuthFuture::ready(inner.refuse("a user name and a password are required"));
        };
        let users = inner.users.load_full();
        let hash = users.get(&user).map_or("", |hash| hash.as_str());
        let fingerprint = inner.remembered.fingerprint(&[user.as_bytes(), password.as_bytes(), hash.as_bytes()]);
        let cell = inner.remembered.cell(fingerprint, REMEMBERED_FOR, Instant::now());
        if let Some(is_correct) = cell.get() {
            return AuthFuture::ready(inner.outcome(*is_correct, &user));
        }
        let inner = inner.clone();
        AuthFuture::boxed(async move {
            let verify = || inner.verify(users, user.clone(), password);
            match cell.get_or_try_init(verify).await {
                Ok(is_correct) => inner.outcome(*is_correct, &user),
                Err(Overloaded) => {
                    inner.remembered.forget(&fingerprint);
                    Refusal::Unavailable { retry_after: 1 }.into()
                }
            }
        })
    }
}

/// Too many passwords wait to be verified.
struct Overloaded;

// === impl Inner ===

impl Inner {
    async fn verify(&self, users: Arc<Users>, user: String, password: String) -> Result<bool, Overloaded> {
        let Ok(_waiting) = self.waiting.clone().try_acquire_owned() else {
            self.overloaded.increment();
            return Err(Overloaded);
        };
        self.verified.increment();
        let running = self.running.clone().acquire_owned().await.map_err(|_| Overloaded)?;
        let work = move || {
            // The permit is held until the work is done, even if the request is dropped before.
            let _running = running;
            match users.get(&user) {
                Some(hash) => hash.verify(&password),
                None => {
                    // Takes as long as for a known name, so that the time does not reveal which
                    // names exist.
                    users.any().map(|hash| hash.verify(&password));
                    false
                }
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Overloaded)
    }

    fn outcome(&self, is_correct: bool, user: &str) -> Outcome {
        if is_correct {
            Arc::new(Identity::of_subject(user)).into()
        } else {
            self.refuse("the user name or the password is wrong").into()
        }
    }

    fn refuse(&self, detail: &'static str) -> Refusal {
        Refusal::Unauthorized { challenge: self.challenge.clone(), detail }
    }
}
