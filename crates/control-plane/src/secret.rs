//! Secret of the cluster: one file, copied to every node by hand, the source of every key. The secret is in
//! no log, in no snapshot and on no wire.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of the secret; stored as hexadecimal text.
const SECRET_BYTES: usize = 32;
/// Limit on the bytes of a key file: a longer file is no key file.
const MAX_FILE_BYTES: u64 = 4096;

type HmacSha256 = Hmac<Sha256>;

/// Secret shared by the nodes of a cluster. Without `Debug`, to stay out of logs.
#[derive(Clone)]
pub struct ClusterSecret([u8; SECRET_BYTES]);

/// Reason why the secret is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the cluster key {path}")]
    Read {
        /// Path of the key file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("cannot create the cluster key {path}")]
    Create {
        /// Path of the key file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file does not hold a key.
    #[error("{path} is not a cluster key: {hex} hexadecimal digits expected", hex = 2 * SECRET_BYTES)]
    Malformed {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file can be read by users besides its owner.
    #[error("the cluster key {path} can be read by others (mode {mode:03o}); run: chmod 600 {path}")]
    TooOpen {
        /// Path of the key file.
        path: PathBuf,
        /// Permission bits of the file.
        mode: u32,
    },
}

impl ClusterSecret {
    /// Loads the secret from the file at `path`, or creates the file (mode 0600). A file made by another node
    /// at the same moment is never replaced.
    ///
    /// # Errors
    /// [`SecretError`] if the file cannot be read or made, is not a key, or can be read by users besides its
    /// owner.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        if let Some(secret) = Self::load(path)? {
            return Ok(secret);
        }
        let create = |source| SecretError::Create { path: path.to_owned(), source };
        let text = hex::encode(rand::random::<[u8; SECRET_BYTES]>()) + "\n";
        // Written aside and linked into place: a reader never finds a partial file.
        let aside = path.with_extension(format!("new-{}", std::process::id()));
        let made = write_private(&aside, text.as_bytes()).and_then(|()| match fs::hard_link(&aside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
        let _ = fs::remove_file(&aside);
        made.map_err(create)?;
        Self::load(path)?.ok_or_else(|| create(io::ErrorKind::NotFound.into()))
    }

    fn load(path: &Path) -> Result<Option<Self>, SecretError> {
        let read = |source| SecretError::Read { path: path.to_owned(), source };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::TooOpen { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        let malformed = || SecretError::Malformed { path: path.to_owned() };
        match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(malformed()),
            Err(error) => return Err(read(error)),
        }
        let mut secret = [0; SECRET_BYTES];
        hex::decode_to_slice(text.trim(), &mut secret).map_err(|_| malformed())?;
        Ok(Some(Self(secret)))
    }

    /// Creates a secret from `bytes`, for tests and tools.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Derives 32 bytes for `purpose`, different for every `context` (HKDF-SHA-256, RFC 5869; the context is
    /// the salt).
    pub fn derive(&self, purpose: &str, context: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(context), &self.0)
            .expand(purpose.as_bytes(), &mut key)
            .expect("32 bytes are fewer than HKDF gives");
        key
    }

    /// Returns the default token of operators, for clusters without a configured token: 256 bits as
    /// hexadecimal text, equal on all nodes. The secret cannot be computed from the token.
    pub fn admin_token(&self) -> String {
        hex::encode(self.derive("admin token", &[]))
    }

    /// Returns the fingerprint of a request, which distinguishes requests under the same idempotency key:
    /// HMAC-SHA-256 of `parts`, in hexadecimal. The lengths of the parts are included, so that different
    /// lists have different inputs.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        let mut mac =
            HmacSha256::new_from_slice(&self.derive("fingerprint", &[])).expect("any length of key");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        hex::encode(mac.finalize().into_bytes())
    }

    /// Returns the id of the request with `fingerprint` under the idempotency key `key`, equal on all nodes.
    pub fn request_id(&self, key: &str, fingerprint: &str) -> String {
        let context = Sha256::new().chain_update(key).chain_update([0]).chain_update(fingerprint).finalize();
        let random = self.derive("request id", &context);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&random[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_makes_the_file_and_the_next_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/cluster.key");
        let made = ClusterSecret::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made.0 == ClusterSecret::load_or_create(&path).unwrap().0);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_for_everybody_or_of_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.key");
        let outcome = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            ClusterSecret::load_or_create(&path)
        };
        let good = "ab".repeat(SECRET_BYTES);
        assert!(outcome(&good, 0o600).is_ok());
        assert!(matches!(outcome(&good, 0o640), Err(SecretError::TooOpen { mode: 0o640, .. })));
        for bad in ["", "ab", &good[1..], "not hexadecimal"] {
            assert!(matches!(outcome(bad, 0o600), Err(SecretError::Malformed { .. })), "{bad:?}");
        }
    }

    #[test]
    fn the_admin_token_is_one_of_its_own() {
        let secret = ClusterSecret::from_bytes([7; SECRET_BYTES]);
        let token = secret.admin_token();
        assert_eq!(token.len(), 64);
        // A noted token has to stay valid: HKDF-SHA-256 of the secret, info "admin token", no salt.
        assert_eq!(token, "85c2b90d9cca2046064575b8382606c68ea565a990cecedbb38b350196f4e9ab");
        assert_ne!(token, ClusterSecret::from_bytes([8; SECRET_BYTES]).admin_token());
    }

    #[test]
    fn parts_are_told_apart() {
        let secret = ClusterSecret::from_bytes([7; SECRET_BYTES]);
        assert_ne!(secret.fingerprint(&[b"ab", b"c"]), secret.fingerprint(&[b"a", b"bc"]));
        assert_ne!(secret.request_id("k", "f"), secret.request_id("kf", ""));
        assert_eq!(secret.request_id("k", "f"), secret.request_id("k", "f"));
    }
}
