//! `user`, `group` and `restrict` of `[server]`, and the folders that the service writes to.

use std::path::{Path, PathBuf};

use dunlin_server::Addr;

use super::Config;
use crate::process::Account;
use crate::reader::{Diagnostic, Document, Section};

/// Reads `user` and `group`.
pub(super) fn account(table: &mut Section<'_>, document: &Document<'_>) -> Option<Account> {
    let (user, group): (Option<String>, Option<String>) = (table.read("user"), table.read("group"));
    let Some(user) = user else {
        if group.is_some() {
            let what = "\"group\" is there without \"user\"";
            document.errors.push(Diagnostic::new(table.key_span("group"), what).expected("the user, too"));
        }
        return None;
    };
    match Account::find(&user, group.as_deref()) {
        Ok(account) => Some(account),
        Err((key, what)) => {
            let expected = "one that is there: `adduser --system --group dunlin` makes one";
            document.errors.push(Diagnostic::new(table.value_span(key), what).expected(expected));
            None
        }
    }
}

// === impl Config ===

impl Config {
    /// The folders in which the service makes and removes files.
    pub(crate) fn written_folders(&self) -> Vec<PathBuf> {
        let sockets = self.server.listen.iter().map(|listen| &listen.addr);
        let admin = self.admin.iter().flat_map(|admin| &admin.listen);
        let sockets = sockets.chain(admin).filter_map(|addr| match addr {
            Addr::Unix(path) => Some(path.clone()),
            _ => None,
        });
        let log = self.log.file.iter().flat_map(|file| [Some(file.clone()), file.canonicalize().ok()]).flatten();
        let acme = self.acme.iter().map(|acme| acme.settings.storage.clone());
        let files = sockets.chain(log).chain(self.server.handover.clone());
        files.filter_map(|file| file.parent().map(Path::to_owned)).chain(acme).collect()
    }
}
