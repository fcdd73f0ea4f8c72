//! Entry point for fuzzing the handshake.

use tokio::io::join;

use super::*;
use crate::timing::HANDSHAKE_WITHIN;

const NONCE: Nonce = [7; 32];

/// Sends `bytes` to either side, and as the body of a hello from a holder of the secret.
pub(crate) fn check(bytes: &[u8]) {
    let identity = identity();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O needs nothing").block_on(async {
        unauthenticated(bytes, &identity).await;
        if bytes.len() <= MAX_MESSAGE_BYTES - HEADER_BYTES {
            known(bytes, &identity).await;
        }
    });
}

/// Checks that a peer without the secret is refused, and receives at most the messages of a handshake.
async fn unauthenticated(bytes: &[u8], identity: &Credentials) {
    let mut said = Vec::new();
    let mut stream = join(bytes, &mut said);
    let outcome = answer(&mut stream, identity, NONCE, |_, _| true, HANDSHAKE_WITHIN).await;
    assert!(outcome.is_err(), "an unauthenticated peer was admitted");
    assert!(said.len() <= 2 * MAX_MESSAGE_BYTES, "{} bytes were sent", said.len());

    let mut said = Vec::new();
    let mut stream = join(bytes, &mut said);
    let outcome = dial(&mut stream, identity, "n2", Purpose::Rpc, NONCE, HANDSHAKE_WITHIN).await;
    assert!(outcome.is_err(), "an unauthenticated peer was taken for a node");
    assert!(said.len() <= 3 * MAX_MESSAGE_BYTES, "{} bytes were sent", said.len());
}

/// Checks that a hello is answered exactly if well formed and addressed to this node, and that the proof
/// then admits the caller.
async fn known(hello: &[u8], identity: &Credentials) {
    let hello = message(HELLO, hello);
    let parsed = Message { version: PROTOCOL_VERSION, kind: HELLO, body: hello[HEADER_BYTES..].to_vec() };
    let expected = hello_from(&parsed, identity).ok();
    // The dialer's messages do not depend on timing, so that all bytes can be there from the start.
    let challenge = challenge_for(identity, &hello, NONCE).expect("the node's name is short");
    let proof = message(PROOF, &identity.sign("dialer", &[&*hello, &challenge].concat()));
    let sent = [&*hello, &proof].concat();
    let mut said = Vec::new();
    let mut stream = join(sent.as_slice(), &mut said);
    match (answer(&mut stream, identity, NONCE, |_, _| true, HANDSHAKE_WITHIN).await, expected) {
        (Ok(caller), Some((node, purpose))) => {
            assert_eq!((&caller.node, caller.purpose), (&node, purpose));
            assert!(!node.chars().any(char::is_control), "{node:?} goes into logs");
            assert_ne!(caller.session.send_key, caller.session.receive_key);
        }
        (Err(_), None) => {}
        (outcome, expected) => {
            panic!("expected {expected:?}, found {:?}", outcome.map(|caller| caller.node));
        }
    }
}

fn identity() -> Credentials {
    Credentials::new("fuzzed", "n1", ClusterSecret::from_bytes([9; 32]))
}

/// Returns the body of a hello, a hello, and a challenge.
pub(crate) fn samples() -> [Vec<u8>; 3] {
    let identity = identity();
    let hello =
        Hello { purpose: Purpose::Rpc, nonce: NONCE, cluster: "fuzzed", node: "n2", wanted: "n1" }.encode();
    let body = hello.expect("the names are short");
    let hello = message(HELLO, &body);
    let challenge = challenge_for(&identity, &hello, NONCE).expect("the name is short");
    [body, hello, challenge]
}
