//! Changes that only a restart makes.

use crate::config::Fingerprints;

/// The keys of `[server]` that a reload changes.
const SERVER: &[&str] = &["listen", "tls", "trusted_proxies", "request_id", "max_body", "watch"];
/// The keys of `[admin]` that a reload changes.
const ADMIN: &[&str] = &["hosts", "public"];

/// A warning for each key whose value is not the one that the service was started with, and that
/// needs a restart.
pub(super) fn warnings(started: &Fingerprints, now: &Fingerprints) -> Vec<String> {
    let server = Fingerprints::changed(&started.server, &now.server);
    let admin = Fingerprints::changed(&started.admin, &now.admin);
    let server = server.into_iter().filter(|key| !SERVER.contains(key)).map(|key| ("server", key));
    let admin = admin.into_iter().filter(|key| !ADMIN.contains(key)).map(|key| ("admin", key));
    let of_key = |(section, key)| format!("[{section}] {key} has changed, which takes effect at a restart");
    let mut warnings: Vec<String> = server.chain(admin).map(of_key).collect();
    if started.has_admin != now.has_admin {
        warnings.push("[admin] has come or gone, which takes effect at a restart".to_owned());
    }
    warnings
}
