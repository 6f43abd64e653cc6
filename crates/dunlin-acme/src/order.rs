//! [`place`]: one order, from the account to the certificate (RFC 8555 §7.4).

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::acme::Acme;
use crate::challenge::{Challenge, is_token};
use crate::client::Client;
use crate::failure::{Failure, Reason};
use crate::storage::{Kind, Lock, Storage};
use crate::{ChallengeKind, blocking};

/// An order for one name.
pub(crate) struct Request<'a> {
    pub(crate) acme: &'a Acme,
    pub(crate) lock: &'a std::sync::Arc<Lock>,
    pub(crate) name: &'a str,
    /// The certificate that the new one replaces, for authorities with ARI (RFC 9773 §5).
    pub(crate) replaces: Option<CertificateIdentifier<'static>>,
}

/// Removes the answer of a challenge when the order ends, however it ends.
struct Answer<'a> {
    storage: &'a Storage,
    token: String,
}

/// The time in which other instances find a challenge in the storage: two of their looks.
const SETTLE: Duration = Duration::from_secs(2);

/// The waits for the authority within an order.
const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

impl Request<'_> {
    /// Places the order. Returns the key and the chain as PEM.
    pub(crate) async fn place(&self) -> Result<Vec<u8>, Failure> {
        let account = self.account().await?;
        let identifiers = [Identifier::Dns(self.name.to_owned())];
        let request = NewOrder::new(&identifiers);
        let request = match &self.replaces {
            Some(replaces) => request.replaces(replaces.clone()),
            None => request,
        };
        let mut order = account.new_order(&request).await;
        if self.replaces.is_some()
            && let Err(error) = &order
        {
            // RFC 9773 §5: an authority may refuse the reference. A certificate matters more.
            tracing::debug!(%error, name = self.name, "ACME: ordering without a reference to the old certificate");
            order = account.new_order(&NewOrder::new(&identifiers)).await;
        }
        if let Err(error) = &order
            && Failure::is_unknown_account(error)
        {
            self.acme.0.storage.forget_account();
        }
        let mut order = order?;
        let answers = self.prove(&mut order).await?;
        let status = order.poll_ready(&POLLS).await;
        if !matches!(status, Ok(OrderStatus::Ready)) {
            let reason = refusal(&mut order).await;
            status?;
            return Err(reason.unwrap_or_else(|| Failure::new(Reason::Refused, "the authority refused the order")));
        }
        drop(answers);
        let (request, key) = signing_request(self.name)?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&POLLS).await?;
        Ok(format!("{key}{chain}").into_bytes())
    }

    /// Answers the challenges of an order, and asks the authority to look.
    async fn prove(&self, order: &mut Order) -> Result<Vec<Answer<'_>>, Failure> {
        let kind = self.acme.0.config.challenge;
        let kind_of_authority = match kind {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let mut answers = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                // An earlier proof still counts. A failure shows in the order.
                continue;
            }
            let Some(mut challenge) = authorization.challenge(kind_of_authority.clone()) else {
                let message = format!("the authority does not offer {}; set another challenge", kind.as_str());
                return Err(Failure::new(Reason::Refused, message));
            };
            let token = challenge.token.clone();
            if !is_token(&token) {
                return Err(Failure::new(Reason::Refused, "the authority sent a token that is not base64url"));
            }
            let content = Challenge {
                host: self.name.to_owned(),
                kind: kind.as_str().to_owned(),
                key_authorization: challenge.key_authorization().as_str().to_owned(),
            };
            let content =
                serde_json::to_vec(&content).map_err(|error| Failure::new(Reason::Storage, error.to_string()))?;
            let (storage, lock, name) = (self.acme.0.storage.clone(), self.lock.clone(), token.clone());
            answers.push(Answer { storage: &self.acme.0.storage, token });
            let written = blocking(move || storage.write(&lock, Kind::Challenge, &name, &content)).await;
            written.map_err(|error| Failure::storage(self.acme.0.storage.folder(), &error))?;
            self.acme.refresh().await;
            tokio::time::sleep(SETTLE).await;
            challenge.set_ready().await?;
        }
        Ok(answers)
    }

    /// Opens the account of the storage, or registers one.
    async fn account(&self) -> Result<Account, Failure> {
        if let Some(account) = known_account(&self.acme.0.client, &self.acme.0.storage).await? {
            return Ok(account);
        }
        let contact = self.acme.0.config.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(self.acme.0.client.clone()));
        let external = self.acme.0.config.external_account.as_ref().map(crate::ExternalAccount::key);
        let created = builder.create(&new, self.acme.0.config.directory.clone(), external.as_ref()).await;
        let (account, credentials) = created?;
        let content =
            serde_json::to_vec(&credentials).map_err(|error| Failure::new(Reason::Storage, error.to_string()))?;
        let storage = self.acme.0.storage.clone();
        let written = blocking(move || storage.write_account(&content)).await;
        written.map_err(|error| Failure::storage(self.acme.0.storage.folder(), &error))?;
        tracing::info!(directory = self.acme.0.config.directory, "ACME: registered an account");
        Ok(account)
    }
}

/// The account of the storage; `None` if there is none that can be used.
pub(crate) async fn known_account(client: &Client, storage: &Storage) -> Result<Option<Account>, Failure> {
    let reader = storage.clone();
    let content = blocking(move || reader.account()).await;
    let Some(content) = content.map_err(|error| Failure::storage(storage.folder(), &error))? else { return Ok(None) };
    match serde_json::from_slice::<AccountCredentials>(&content) {
        Ok(credentials) => {
            let builder = Account::builder_with_http(Box::new(client.clone()));
            Ok(Some(builder.from_credentials(credentials).await?))
        }
        Err(_) => {
            let folder = storage.folder().display().to_string();
            tracing::warn!(folder, "ACME: account.json cannot be read; registering a new account");
            Ok(None)
        }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.storage.remove(Kind::Challenge, &self.token);
    }
}

/// The reason for which an authorization of the order failed.
async fn refusal(order: &mut Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(Failure::refused(problem));
        }
    }
    None
}

/// A request for a certificate (RFC 2986) with a new key, and the key as PEM.
fn signing_request(name: &str) -> Result<(Vec<u8>, String), Failure> {
    let make = || {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate()?;
        let request = params.serialize_request(&key)?;
        Ok((request.der().to_vec(), key.serialize_pem()))
    };
    make().map_err(|error: rcgen::Error| Failure::new(Reason::Unusable, format!("cannot make a key: {error}")))
}
