//! Admin tokens that lie on this machine, and the choice of the one that a cluster accepts.
//!
//! Each node leaves the derived token in its data directory. One that was found is sent to no server that does not ask for a
//! token, and unlike one that was named it is never the only way: without one, calls are sent as they are.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::admin_token::AdminToken;
use crate::calls::Client;
use crate::error::ClientError;
use crate::request::{Call, JSON};

/// The file with the token, in a node's data directory.
const FILE: &str = "admin.token";
/// Parent of the data directories by default, in the working directory of the nodes.
const DATA: &str = "data";
/// Different tokens that are tried, at most: a node compares only a few wrong ones a minute.
const MAX_FOUND: usize = 4;
/// Entries of a folder that are looked at, at most.
const MAX_ENTRIES: usize = 256;
/// Bytes of a file that are read: anything longer holds no token.
const MAX_FILE_BYTES: u64 = 4096;

/// The tokens in the data directory `data_dir`, where one is named, and in those below `data` in the working directory, also
/// those of a demo.
pub fn find_admin_tokens(data_dir: Option<&OsStr>) -> Vec<AdminToken> {
    let named = data_dir.filter(|dir| !dir.is_empty()).map(PathBuf::from);
    found_in(named.as_deref(), Path::new(DATA))
}

fn found_in(named: Option<&Path>, data: &Path) -> Vec<AdminToken> {
    let nodes = folders(data);
    let of_demos = nodes.iter().flat_map(|folder| folders(folder));
    let places = named.into_iter().map(Path::to_owned).chain(nodes.iter().cloned()).chain(of_demos);
    let mut found: Vec<AdminToken> = Vec::new();
    for token in places.filter_map(|place| read(&place.join(FILE))) {
        if found.len() < MAX_FOUND && !found.contains(&token) {
            found.push(token);
        }
    }
    found
}

/// The folders in a folder, by name.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().take(MAX_ENTRIES).filter_map(Result::ok);
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// A token that only its owner can have written and read; what cannot be read belongs to somebody else.
fn read(path: &Path) -> Option<AdminToken> {
    let about = fs::symlink_metadata(path).ok()?;
    if !about.is_file() || about.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    AdminToken::new(&text).ok()
}

impl Client {
    /// True if the cluster lets itself be changed by whoever sends this token, or sends none.
    ///
    /// # Errors
    /// Any [`ClientError`] but a refusal for want of the right token.
    pub async fn accepts(&self, token: Option<&AdminToken>) -> Result<bool, ClientError> {
        let call = Call::get("/cluster/access", JSON).token(token.cloned());
        match self.sender.send(&call).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { refusal, .. }) if matches!(refusal.status, 401 | 403) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first of `found` that the cluster accepts; none where it asks for no token, or accepts none of them.
    ///
    /// # Errors
    /// If no server answers. One that does not know the call (of another release) is taken as it is.
    pub async fn choose_token(&self, found: &[AdminToken]) -> Result<Option<AdminToken>, ClientError> {
        let none = std::iter::once(None);
        for token in none.chain(found.iter().map(Some)) {
            match self.accepts(token).await {
                Ok(true) => return Ok(token.cloned()),
                Ok(false) => {}
                Err(ClientError::Refused { .. } | ClientError::BadAnswer { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{TestServer, refusing_endpoint, response};

    fn token(text: &str) -> AdminToken {
        AdminToken::new(text).unwrap()
    }

    fn problem(status: u16, code: &str) -> Vec<u8> {
        let body = format!(r#"{{"status": {status}, "code": "{code}"}}"#);
        response(status, "application/problem+json", &[], body.as_bytes())
    }

    #[test]
    fn tokens_lie_in_data_directories() {
        let dir = std::env::temp_dir().join(format!("tokens-{}", uuid::Uuid::new_v4()));
        let put = |place: &str, text: &str, mode| {
            let path = dir.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("data/n1/admin.token", "one\n", 0o600);
        put("data/n2/admin.token", "one\n", 0o600);
        put("data/demo/n1/admin.token", "two", 0o600);
        put("data/n3/admin.token", "read by others", 0o644);
        put("data/n4/admin.token", "not a token", 0o600);
        put("elsewhere/admin.token", "three", 0o600);
        std::os::unix::fs::symlink(dir.join("elsewhere/admin.token"), dir.join("data/admin.token")).unwrap();
        let found = found_in(Some(&dir.join("elsewhere")), &dir.join("data"));
        assert_eq!(found, [token("three"), token("one"), token("two")]);
        assert_eq!(found_in(None, &dir.join("nowhere")), []);
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn a_token_that_was_found_goes_only_where_one_is_asked_for() {
        let accepted = || response(200, JSON, &[], br#"{"authority": "admin_token"}"#);
        let check = async |answers: Vec<Vec<u8>>, expected: Option<AdminToken>, last: Option<&str>| {
            let node = TestServer::start(answers).await;
            let client = Client::builder([node.endpoint()]).max_retries(0).build().unwrap();
            let chosen = client.choose_token(&[token("first"), token("second")]).await.unwrap();
            assert_eq!(chosen, expected);
            let sent = node.last_request();
            let authorization = sent.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
            assert_eq!(authorization, last);
        };
        check(vec![accepted()], None, None).await;
        check(vec![problem(401, "token_required"), accepted()], Some(token("first")), Some("first")).await;
        let second = vec![problem(401, "token_required"), problem(403, "token_wrong"), accepted()];
        check(second, Some(token("second")), Some("second")).await;
        // A release without the call.
        check(vec![problem(404, "not_found")], None, None).await;
        let client = Client::builder([refusing_endpoint()]).max_retries(0).build().unwrap();
        assert!(client.choose_token(&[token("first")]).await.is_err());
    }
}
