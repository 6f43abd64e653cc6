//! Changes that only a restart makes.

use crate::config::{Config, Fingerprints};

/// The keys of `[server]` that a reload changes.
const SERVER: &[&str] = &["listen", "tls", "trusted_proxies", "request_id", "max_body", "watch"];
/// The keys of `[admin]` that a reload changes.
const ADMIN: &[&str] = &["hosts", "public"];

/// A warning for each changed key that needs a restart.
pub(super) fn warnings(before: &Config, after: &Config) -> Vec<String> {
    let (one, other) = (&before.fingerprints, &after.fingerprints);
    let server = Fingerprints::changed(&one.server, &other.server);
    let admin = Fingerprints::changed(&one.admin, &other.admin);
    let server = server.into_iter().filter(|key| !SERVER.contains(key)).map(|key| ("server", key));
    let admin = admin.into_iter().filter(|key| !ADMIN.contains(key)).map(|key| ("admin", key));
    let mut warnings: Vec<String> = server.chain(admin).map(|(section, key)| warning(section, key)).collect();
    if before.admin.is_some() != after.admin.is_some() && one.admin == other.admin {
        warnings.push("[admin] has come or gone, which takes effect at a restart".to_owned());
    }
    warnings
}

fn warning(section: &str, key: &str) -> String {
    format!("[{section}] {key} has changed, which takes effect at a restart")
}
