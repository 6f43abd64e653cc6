//! Restrictions that the process puts on itself, for ever: no new privileges (prctl(2),
//! `PR_SET_NO_NEW_PRIVS`), and Landlock's for files.
//!
//! From then on the process, and every thread of it, runs no program and writes only where its
//! configuration makes it write. Reading is not restricted, because a reload may name new folders.

use std::path::{Path, PathBuf};

/// The outcome, for the log.
pub(crate) type Restricted = Result<&'static str, String>;

/// Restricts the process to writing in `folders`. It has to be called before there are threads,
/// because Landlock restricts only the caller and its later threads.
#[cfg(target_os = "linux")]
pub(crate) fn restrict(folders: &[PathBuf]) -> Restricted {
    use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules};

    // Kernels that know less than this enforce what they know.
    let write = AccessFs::from_write(ABI::V3);
    let restricted = Ruleset::default()
        .handle_access(write | AccessFs::Execute)
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(existing(folders), write)))
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Ok("writes only where its configuration says, and runs no programs"),
        Ok(RulesetStatus::PartiallyEnforced) => Ok("writes are restricted, as far as this kernel can"),
        Ok(RulesetStatus::NotEnforced) => Ok("gets no new privileges; this kernel has no Landlock"),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn restrict(folders: &[PathBuf]) -> Restricted {
    let _ = existing(folders);
    Ok("is not restricted on this system")
}

/// The folders that are there, and the ones behind links.
fn existing(folders: &[PathBuf]) -> Vec<PathBuf> {
    let named = folders.iter().map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new(".").to_owned(),
        false => folder.clone(),
    });
    named.filter(|folder| folder.is_dir()).collect()
}
