//! The response that a proxy sends, made from the upstream's.

use std::sync::Arc;

use dunlin_http::{Body, Interim};
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;

use super::request::RequestFacts;
use super::state::ProxyState;
use super::{fields, tunnel};
use crate::Error;
use crate::client::{OnInterim, Received, Upgraded, UpgradedIo};

/// Makes the response for the client.
pub(super) fn finish(state: &ProxyState, received: Received, facts: RequestFacts) -> Result<Response<Body>, Error> {
    let Received { mut response, upgraded } = received;
    if let Some(upgraded) = upgraded {
        return switch_protocols(state, response, upgraded, facts);
    }
    let status = response.status();
    let headers = response.headers_mut();
    fields::remove_hop_by_hop(headers);
    if status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6: a 204 has no Content-Length.
        headers.remove(CONTENT_LENGTH);
    } else if !facts.is_head && status != StatusCode::NOT_MODIFIED {
        merge_lengths(&mut response);
    }
    if let Some(via) = &state.via {
        let version = response.version();
        via.add(response.headers_mut(), version);
    }
    // The version is that of the upstream's connection.
    *response.version_mut() = Version::HTTP_11;
    Ok(response)
}

/// A callback that forwards interim responses to the client.
///
/// RFC 9110 §15.2: "A proxy MUST forward 1xx responses".
pub(super) fn forward_interim(state: &Arc<ProxyState>, client: Interim) -> OnInterim {
    let state = state.clone();
    Arc::new(move |status, headers| {
        let mut headers = headers.clone();
        fields::remove_hop_by_hop(&mut headers);
        if let Some(via) = &state.via {
            via.add(&mut headers, Version::HTTP_11);
        }
        client.send(status, &headers);
    })
}

/// Connects client and upstream after 101 (Switching Protocols) (RFC 9110 §15.2.2).
fn switch_protocols(
    state: &ProxyState,
    mut response: Response<Body>,
    upgraded: Upgraded,
    facts: RequestFacts,
) -> Result<Response<Body>, Error> {
    let unwanted = || Error::Protocol("101 (Switching Protocols) to a protocol that was not requested".into());
    let (wanted, client) = facts.upgrade.ok_or_else(unwanted)?;
    if !fields::is_wanted(response.headers(), &wanted) {
        return Err(unwanted());
    }
    let server = response.extensions_mut().remove::<OnUpgrade>();
    if matches!(upgraded.io, UpgradedIo::Http1 { .. }) && server.is_none() {
        return Err(unwanted());
    }
    let headers = response.headers_mut();
    let protocol = headers.get(UPGRADE).cloned();
    fields::remove_hop_by_hop(headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.unwrap_or(wanted));
    tunnel::spawn(client, server, upgraded, state.shared().clone());
    Ok(response)
}

/// Replaces repeated `Content-Length` lines by one (RFC 9110 §8.6). They all have the same value.
fn merge_lengths(response: &mut Response<Body>) {
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    let first_is_list = lengths.next().is_some_and(|first| first.as_bytes().contains(&b','));
    if (first_is_list || lengths.next().is_some())
        && let Some(len) = response.body().len()
    {
        response.headers_mut().insert(CONTENT_LENGTH, len.into());
    }
}
