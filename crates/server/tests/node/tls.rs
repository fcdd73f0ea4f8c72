//! TLS on the HTTP port.

use std::path::Path;
use std::sync::Arc;

use rcgen::CertifiedKey;
use reqwest::multipart::Form;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use testkit::{Node, NodeBuilder, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::request::{file, post, problem};

/// Writes a new certificate for this machine and its key into `folder`.
fn make_certificate(folder: &Path) -> CertificateDer<'static> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join("node.key"), signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("node.crt"), cert.pem()).unwrap();
    cert.der().clone()
}

fn start(folder: &Path) -> Node {
    let path = |name: &str| folder.join(name).display().to_string();
    NodeBuilder::new()
        .set("security.tls_cert", path("node.crt"))
        .set("security.tls_key", path("node.key"))
        .start()
}

/// Sends a request over TLS to a node that has to show `certificate`, and returns the whole answer.
async fn ask(node: &Node, certificate: &CertificateDer<'static>, request: &[u8]) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(node.address()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A form with a passphrase, forwarded by a proxy that nobody vouches for.
fn forwarded_form() -> Vec<u8> {
    let part = |name: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let body = part("passphrase", "correct horse") + &part("file", "a secret") + "--b--\r\n";
    format!(
        "POST /api/embed HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-forwarded-for: 10.1.1.1\r\n\
         accept: image/png\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_node_with_a_certificate_serves_tls_and_takes_keys_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = make_certificate(folder.path());
    let node = start(folder.path());
    let answer = ask(&node, &certificate, LIVEZ).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = ask(&node, &certificate, &forwarded_form()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let page = b"GET / HTTP/1.1\r\nhost: 127.0.0.1:8081\r\nconnection: close\r\n\r\n";
    let answer = ask(&node, &certificate, page).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = String::from_utf8(node.raw(page).unwrap()).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 307") && answer.contains("location: https://127.0.0.1:8081/"),
        "{answer}"
    );
    // Plain HTTP stays for programs on this machine; what came through a proxy is refused.
    let refused = post(&node, "/api/embed").header("x-forwarded-for", "10.1.1.1");
    let form = file("file", "a", "a secret").text("passphrase", "correct horse");
    problem(refused.multipart(form).send().await.unwrap(), 403, "plaintext_refused").await;
    let form: Form = file("file", "a", "a secret").text("passphrase", "correct horse");
    assert_eq!(post(&node, "/api/embed").multipart(form).send().await.unwrap().status(), 200);
    assert!(node.log().contains("listening on https://"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = make_certificate(folder.path());
    let node = start(folder.path());
    assert!(ask(&node, &first, LIVEZ).await.is_ok());
    // A key that does not go with the certificate changes nothing.
    std::fs::write(folder.path().join("node.key"), "not a key, and of another length").unwrap();
    wait_for("the refusal", || node.log().contains("changed certificate not usable").then_some(()));
    assert!(ask(&node, &first, LIVEZ).await.is_ok());
    let second = make_certificate(folder.path());
    wait_for("the new certificate", || node.log().contains("certificate replaced").then_some(()));
    assert!(ask(&node, &second, LIVEZ).await.is_ok());
    assert!(ask(&node, &first, LIVEZ).await.is_err(), "the former certificate is gone");
}

#[tokio::test]
async fn what_is_no_handshake_ends_its_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = make_certificate(folder.path());
    let node = start(folder.path());
    for opening in [&b"\x16\x03\x01\x00\x05hello"[..], &[22], b"\x16\x03\x03\xFF\xFF"] {
        let mut stream = TcpStream::connect(node.address()).await.unwrap();
        stream.write_all(opening).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(ask(&node, &certificate, LIVEZ).await.is_ok());
}
