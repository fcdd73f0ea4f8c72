//! `stegctl certs`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::cli::{CertsCommand, SelfSigned};
use crate::failure::Failure;
use crate::files::shown;
use crate::output::say;

pub(super) fn run(command: &CertsCommand) -> Result<(), Failure> {
    let CertsCommand::SelfSigned(command) = command;
    self_signed(command).map_err(|error| Failure::file(&error))
}

/// Writes a certificate for the names, signed by itself, and its private key.
fn self_signed(command: &SelfSigned) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(command.names.clone())
        .context("cannot make a certificate for these names")?;
    std::fs::create_dir_all(&command.dir)
        .with_context(|| format!("cannot create {}", shown(&command.dir)))?;
    let (cert_path, key_path) = (command.dir.join("node.crt"), command.dir.join("node.key"));
    let key = zeroize::Zeroizing::new(signing_key.serialize_pem());
    write(&key_path, key.as_bytes(), 0o600, command.force)?;
    write(&cert_path, cert.pem().as_bytes(), 0o644, command.force)?;
    say(format!("wrote {} and {}", shown(&cert_path), shown(&key_path)));
    say("each node: security.tls_cert and security.tls_key name the two files");
    say(
        "clients: `--ca-cert node.crt` of stegctl and loadgen, `--cacert node.crt` of curl; browsers import node.crt",
    );
    Ok(())
}

fn write(path: &Path, content: &[u8], mode: u32, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).with_context(|| format!("cannot create {}", shown(path)))?;
    file.write_all(content).with_context(|| format!("cannot write {}", shown(path)))
}
