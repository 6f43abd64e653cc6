//! [`Account`]: the user that the service runs as.

use std::ffi::CString;
use std::io;

use anyhow::Context as _;
use nix::unistd::{Gid, Group, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};

use crate::log;

/// A user and a group of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The user's name, if it has one.
    name: Option<String>,
    uid: Uid,
    gid: Gid,
}

// === impl Account ===

impl Account {
    /// The account of a user, by its name or number. The group is the user's own unless `group`
    /// names another one.
    ///
    /// # Errors
    /// The key, `user` or `group`, and the reason why there is no account.
    pub(crate) fn find(user: &str, group: Option<&str>) -> Result<Self, (&'static str, String)> {
        let wrong = |error: nix::Error| ("user", format!("cannot look up the user {user:?}: {error}"));
        let found = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)).map_err(wrong)?,
            Err(_) => User::from_name(user).map_err(wrong)?,
        };
        let uid = found.as_ref().map(|found| found.uid).or_else(|| user.parse().ok().map(Uid::from_raw));
        let Some(uid) = uid else { return Err(("user", format!("there is no user {user:?} on this machine"))) };
        let gid = match group {
            Some(group) => Self::group(group)?,
            None => match &found {
                Some(found) => found.gid,
                None => {
                    return Err((
                        "user",
                        format!("the user {user} is not in the list of users, so \"group\" is missing"),
                    ));
                }
            },
        };
        Ok(Self { name: found.map(|found| found.name), uid, gid })
    }

    fn group(group: &str) -> Result<Gid, (&'static str, String)> {
        if let Ok(number) = group.parse() {
            return Ok(Gid::from_raw(number));
        }
        match Group::from_name(group) {
            Ok(Some(found)) => Ok(found.gid),
            Ok(None) => Err(("group", format!("there is no group {group:?} on this machine"))),
            Err(error) => Err(("group", format!("cannot look up the group {group:?}: {error}"))),
        }
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    pub(crate) fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Makes this process run as the account, for ever, and gives it the log file. A process that
    /// does not run as root stays as it is.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(crate) fn assume(&self) -> anyhow::Result<()> {
        if !geteuid().is_root() {
            if geteuid() != self.uid {
                tracing::warn!(
                    user = self.label(),
                    "[server] user has no effect, because the service was not started by root"
                );
            }
            return Ok(());
        }
        log::give(self.uid.as_raw(), self.gid.as_raw()).context("cannot give the log file to its user")?;
        self.change().with_context(|| format!("cannot become the user {}", self.label()))?;
        tracing::info!(user = self.label(), group = self.gid.as_raw(), "runs as another user from here on");
        Ok(())
    }

    /// Changes all threads. The groups come first, because only root may change them.
    fn change(&self) -> io::Result<()> {
        match &self.name {
            Some(name) => initgroups(&CString::new(name.as_str())?, self.gid)?,
            None => setgroups(&[self.gid])?,
        }
        setgid(self.gid)?;
        setuid(self.uid)?;
        match self.uid.is_root() || setuid(Uid::from_raw(0)).is_err() {
            true => Ok(()),
            false => Err(io::Error::other("the process could still become root")),
        }
    }

    fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let root = Account::find("root", None).unwrap();
        assert_eq!((root.uid(), root.gid.as_raw(), root.name.as_deref()), (0, 0, Some("root")));
        let number = Account::find("4711", Some("4712")).unwrap();
        assert_eq!((number.uid(), number.gid.as_raw(), number.name), (4711, 4712, None));
        for (user, group, key, expect) in [
            ("no-user", None, "user", "there is no user \"no-user\" on this machine"),
            ("root", Some("no-group"), "group", "there is no group \"no-group\" on this machine"),
            ("4711", None, "user", "the user 4711 is not in the list of users, so \"group\" is missing"),
        ] {
            assert_eq!(Account::find(user, group).unwrap_err(), (key, expect.to_owned()));
        }
    }
}
