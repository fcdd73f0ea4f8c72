//! Admin tokens stored on this machine, and the choice of a token that the cluster accepts.
//!
//! Each node leaves the derived token in its data directory. A token found there is sent only to a server
//! that asks for a token and, unlike a token named by the user, is optional: without a token, calls are sent
//! unauthenticated.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::admin_token::AdminToken;
use crate::calls::Client;
use crate::error::ClientError;
use crate::request::{Call, JSON};

/// Name of the token file in a node's data directory.
const FILE: &str = "admin.token";
/// Default parent of the data directories, relative to the working directory of the nodes.
const DATA: &str = "data";
/// Most different tokens tried: a node compares only a few wrong tokens a minute.
const MAX_FOUND: usize = 4;
/// Most entries of a folder examined.
const MAX_ENTRIES: usize = 256;
/// Most bytes read of a file: anything longer holds no token.
const MAX_FILE_BYTES: u64 = 4096;

/// Finds the tokens in the data directory `data_dir`, if given, and in the data directories below `data` in
/// the working directory, including those of a demo.
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

/// Returns the folders in a folder, sorted by path.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().take(MAX_ENTRIES).filter_map(Result::ok);
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Reads a token from a regular file accessible only to its owner; a file that cannot be read belongs to
/// another user.
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
    /// Returns true if the cluster accepts changes with the given token, or without a token for `None`.
    ///
    /// # Errors
    /// Any [`ClientError`] but a refusal with status 401 or 403.
    pub async fn accepts(&self, token: Option<&AdminToken>) -> Result<bool, ClientError> {
        let call = Call::get("/cluster/access", JSON).token(token.cloned());
        match self.sender.send(&call).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { refusal, .. }) if matches!(refusal.status, 401 | 403) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Chooses the first of `found` that the cluster accepts; `None` if the cluster asks for no token, or
    /// accepts none of `found`.
    ///
    /// # Errors
    /// If no server answers. A server that refuses the call otherwise, for example of a release without the
    /// call, counts as asking for no token.
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
