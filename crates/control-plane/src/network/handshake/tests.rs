use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::timing::HANDSHAKE_WITHIN;

const DIALER_NONCE: Nonce = [0xd1; 32];
const LISTENER_NONCE: Nonce = [0xa2; 32];

// Computed from the module's description with Python's hmac and hashlib; the secret is 32 times 7, the
// cluster `phase1`, n1 dials n2 for requests.
const HELLO_HEX: &str = "53544547000101002e01d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d106706861\
     736531026e31026e32";
const CHALLENGE_HEX: &str = "535445470001020043a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2026e32\
     9493ecbe762a217090a3c178e3282717a276802fe290f878536107c5e50cd632";
const PROOF_HEX: &str = "5354454700010300209ff0a9b63fdc13d3b06e90dd739d9f0270281220fca99303e416446b9a6ccf96";
const WELCOME_HEX: &str =
    "53544547000104002024fb48d7ba91290bc2e158d896759749592a27ea84500b3dc4d5e63f09af7f1c";
const TO_LISTENER_HEX: &str = "205f86f3e137dac8e76f97edbca7e27b496d826a756449dde1e57b78ea0f4435";
const TO_DIALER_HEX: &str = "00420c8014edf06db45048cfe4ebb4a1c4ea5e8844e31c4ce72edc37b68fb796";

fn node(cluster: &str, node: &str, secret: u8) -> Credentials {
    Credentials::new(cluster, node, ClusterSecret::from_bytes([secret; 32]))
}

fn n1() -> Credentials {
    node("phase1", "n1", 7)
}

fn n2() -> Credentials {
    node("phase1", "n2", 7)
}

async fn dial_as(identity: &Credentials, stream: &mut DuplexStream) -> Result<Session, HandshakeError> {
    dial(stream, identity, "n2", Purpose::Rpc, DIALER_NONCE, HANDSHAKE_WITHIN).await
}

async fn answer_as(identity: &Credentials, stream: &mut DuplexStream) -> Result<Caller, HandshakeError> {
    answer(stream, identity, LISTENER_NONCE, |_, _| true, HANDSHAKE_WITHIN).await
}

/// Runs both sides against each other.
async fn meet(
    dialer: &Credentials,
    listener: &Credentials,
) -> (Result<Session, HandshakeError>, Result<Caller, HandshakeError>) {
    let (mut left, mut right) = duplex(4096);
    // Each side closes the connection as soon as done.
    tokio::join!(async move { dial_as(dialer, &mut left).await }, async move {
        answer_as(listener, &mut right).await
    },)
}

fn text<T>(outcome: Result<T, HandshakeError>) -> String {
    outcome.map(drop).unwrap_err().to_string()
}

/// Writes `bytes`, then reads until the other side closes the connection or `count` bytes are read.
async fn say(stream: &mut DuplexStream, bytes: &[u8], count: usize) -> Vec<u8> {
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    stream.take(count as u64).read_to_end(&mut heard).await.unwrap();
    heard
}

#[tokio::test]
async fn the_transcript_is_pinned() {
    let [hello, challenge, proof, welcome] =
        [HELLO_HEX, CHALLENGE_HEX, PROOF_HEX, WELCOME_HEX].map(|text| hex::decode(text).unwrap());

    let (n1, n2) = (n1(), n2());
    let (mut near, mut far) = duplex(4096);
    let (dialled, ()) = tokio::join!(dial_as(&n1, &mut near), async {
        assert_eq!(say(&mut far, &[], hello.len()).await, hello);
        assert_eq!(say(&mut far, &challenge, proof.len()).await, proof);
        far.write_all(&welcome).await.unwrap();
    });
    let dialled = dialled.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(hex::encode(dialled.send_key), TO_LISTENER_HEX);
    assert_eq!(hex::encode(dialled.receive_key), TO_DIALER_HEX);

    let (mut near, mut far) = duplex(4096);
    let (answered, ()) = tokio::join!(answer_as(&n2, &mut near), async {
        assert_eq!(say(&mut far, &hello, challenge.len()).await, challenge);
        assert_eq!(say(&mut far, &proof, welcome.len()).await, welcome);
    });
    let answered = answered.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((answered.node.as_str(), answered.purpose), ("n1", Purpose::Rpc));
    assert_eq!(hex::encode(answered.session.receive_key), TO_LISTENER_HEX);
    assert_eq!(hex::encode(answered.session.send_key), TO_DIALER_HEX);
}

#[tokio::test]
async fn unauthenticated_peers_are_refused_and_both_sides_know_why() {
    let check = async |dialer: Credentials, listener: Credentials, at_dialer: &str, at_listener: &str| {
        let (dialled, answered) = meet(&dialer, &listener).await;
        assert_eq!((text(dialled).as_str(), text(answered).as_str()), (at_dialer, at_listener));
    };
    let does_not_know = "does not know this cluster's key";
    let says = "refused this node's proof of the cluster's key";
    check(node("phase1", "n1", 8), n2(), does_not_know, says).await;
    check(n1(), node("phase1", "n2", 8), does_not_know, says).await;
    check(
        node("other", "n1", 7),
        n2(),
        "belongs to cluster `phase1`, this node to `other`",
        "belongs to cluster `other`, this node to `phase1`",
    )
    .await;
    check(n1(), node("phase1", "n3", 7), "is n3, not n2", "dialled n2, but this node is n3").await;
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let too_long = "cannot be dialled: names of clusters and nodes have at most 255 bytes";
    check(node("phase1", &long, 7), n2(), too_long, "closed the connection during the handshake").await;
}

#[tokio::test]
async fn names_of_the_greatest_length_fit() {
    let long = "é".repeat(MAX_NAME_BYTES / 2) + "x";
    let listener = node(&long, &long, 7);
    let (mut left, mut right) = duplex(4096);
    let dialer = node(&long, &long, 7);
    let (dialled, answered) = tokio::join!(
        dial(&mut left, &dialer, &long, Purpose::Snapshot, DIALER_NONCE, HANDSHAKE_WITHIN),
        answer_as(&listener, &mut right),
    );
    assert!(dialled.is_ok());
    assert!(answered.is_ok_and(|caller| caller.node == long && caller.purpose == Purpose::Snapshot));
}

#[tokio::test]
async fn another_version_is_refused_by_both_numbers() {
    // A listener of this version receives the hello of a dialer of version 9, in a different layout.
    let (mut near, mut far) = duplex(4096);
    let n2 = n2();
    let (answered, heard) = tokio::join!(
        async move { answer_as(&n2, &mut near).await },
        say(&mut far, b"STEG\x00\x09\x01\x00\x02hi", usize::MAX),
    );
    assert_eq!(text(answered), "speaks version 9 of the protocol between nodes, this node speaks version 1");
    assert_eq!(heard, b"STEG\x00\x01\x05\x00\x05\x01\x00\x01\x00\x09", "a refusal, 1 not 9");

    // And a dialer of this version is refused by a listener of version 9.
    let (mut near, mut far) = duplex(4096);
    let n1 = n1();
    let (dialled, _) = tokio::join!(
        async move { dial_as(&n1, &mut near).await },
        say(&mut far, b"STEG\x00\x09\x05\x00\x05\x01\x00\x09\x00\x01", usize::MAX),
    );
    assert_eq!(text(dialled), "speaks version 9 of the protocol between nodes, this node speaks version 1");
}

#[tokio::test]
async fn what_is_no_handshake_is_turned_away_without_an_answer() {
    let check = async |bytes: &[u8], expected: &str| {
        let (mut near, mut far) = duplex(4096);
        let n2 = n2();
        let (answered, heard) = tokio::join!(async move { answer_as(&n2, &mut near).await }, async move {
            far.write_all(bytes).await.unwrap();
            far.shutdown().await.unwrap();
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            heard
        });
        assert_eq!((text(answered).as_str(), heard.as_slice()), (expected, &[][..]), "{bytes:?}");
    };
    check(b"GET / HTTP/1.1\r\n\r\n", "does not speak the protocol between nodes").await;
    check(b"", "closed the connection during the handshake").await;
    check(&hex::decode(HELLO_HEX).unwrap()[..20], "closed the connection during the handshake").await;
    check(b"STEG\x00\x01\x01\xff\xff", "sent a malformed handshake").await;
    check(b"STEG\x00\x01\x01\x03\xf8", "sent a malformed handshake").await;
    check(b"STEG\x00\x01\x01\x03\xf7", "closed the connection during the handshake").await;
    check(&hex::decode(PROOF_HEX).unwrap(), "sent a malformed handshake").await;
    // Purpose 0; a name with a line break; a byte too many.
    let valid = hex::decode(HELLO_HEX).unwrap();
    for (at, byte) in [(HEADER_BYTES, 0), (HEADER_BYTES + 35, b'\n'), (8, 0x2d)] {
        let mut bad = valid.clone();
        bad[at] = byte;
        check(&bad, "sent a malformed handshake").await;
    }
}

#[tokio::test]
async fn whoever_says_nothing_is_turned_away() {
    let limit = Duration::from_millis(1);
    let (mut near, _far) = duplex(4096);
    assert_eq!(
        text(answer(&mut near, &n2(), LISTENER_NONCE, |_, _| true, limit).await),
        "did not finish the handshake in time"
    );
    let (mut near, _far) = duplex(4096);
    let dialled = dial(&mut near, &n1(), "n2", Purpose::Probe, DIALER_NONCE, limit).await;
    assert!(matches!(dialled, Err(HandshakeError::TooSlow)));
}

#[tokio::test]
async fn messages_of_a_node_sent_back_to_it_prove_nothing() {
    // To the listener, its own authenticator as the dialer's, and as the whole message.
    for whole in [false, true] {
        let (mut near, mut far) = duplex(4096);
        let n2 = n2();
        let (answered, last) = tokio::join!(async move { answer_as(&n2, &mut near).await }, async move {
            let hello = hex::decode(HELLO_HEX).unwrap();
            let challenge = say(&mut far, &hello, CHALLENGE_HEX.len() / 2).await;
            let echo = message(PROOF, challenge.last_chunk::<MAC_BYTES>().unwrap());
            say(&mut far, if whole { &challenge } else { &echo }, usize::MAX).await
        });
        if whole {
            assert_eq!((text(answered).as_str(), last.len()), ("sent a malformed handshake", 0));
        } else {
            assert_eq!(text(answered), "does not know this cluster's key");
            assert_eq!(last, message(REFUSAL, &[REFUSED_KEY]));
        }
    }
    // To the dialer, its own hello.
    let (mut near, mut far) = duplex(4096);
    let n1 = n1();
    let (dialled, rest) = tokio::join!(async move { dial_as(&n1, &mut near).await }, async move {
        let hello = say(&mut far, &[], HELLO_HEX.len() / 2).await;
        say(&mut far, &hello, usize::MAX).await
    });
    assert_eq!((text(dialled).as_str(), rest.len()), ("sent a malformed handshake", 0));
}

#[tokio::test]
async fn a_node_answers_no_challenge_for_an_unauthenticated_peer() {
    // n1 dials; the attacker has n1's own listener make a challenge for n1's hello, readdressed, and passes
    // it on.
    let (mut near, mut far) = duplex(4096);
    let (n1, n1_too) = (n1(), n1());
    let (dialled, rest) = tokio::join!(async move { dial_as(&n1, &mut near).await }, async move {
        let mut hello = say(&mut far, &[], HELLO_HEX.len() / 2).await;
        *hello.last_mut().unwrap() = b'1';
        let (mut inside, mut outside) = duplex(4096);
        let (_, challenge) = tokio::join!(async move { answer_as(&n1_too, &mut inside).await }, async move {
            say(&mut outside, &hello, CHALLENGE_HEX.len() / 2).await
        });
        assert_eq!(challenge[6], CHALLENGE);
        say(&mut far, &challenge, usize::MAX).await
    });
    assert_eq!(text(dialled), "does not know this cluster's key");
    assert_eq!(rest, message(REFUSAL, &[REFUSED_KEY]), "and no proof");
}

#[tokio::test]
async fn a_recorded_handshake_does_not_work_again() {
    let (mut near, mut far) = duplex(4096);
    let n2 = n2();
    let (answered, last) = tokio::join!(
        async move { answer(&mut near, &n2, [0xa3; 32], |_, _| true, HANDSHAKE_WITHIN).await },
        async move {
            say(&mut far, &hex::decode(HELLO_HEX).unwrap(), CHALLENGE_HEX.len() / 2).await;
            say(&mut far, &hex::decode(PROOF_HEX).unwrap(), usize::MAX).await
        },
    );
    assert_eq!(text(answered), "does not know this cluster's key");
    assert_eq!(last, message(REFUSAL, &[REFUSED_KEY]));
}

proptest! {
    #[test]
    fn no_bytes_are_a_handshake(kind in 0_u8..7, version in 0_u16..3, body: Vec<u8>, rest: Vec<u8>) {
        let bytes = [b"STEG".as_slice(), &version.to_be_bytes(), &[kind], &(body.len() as u16).to_be_bytes(), &body, &rest]
            .concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = duplex(1 << 16);
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            assert!(answer_as(&n2(), &mut near).await.is_err());
            let (mut near, mut far) = duplex(1 << 16);
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            assert!(dial_as(&n1(), &mut near).await.is_err());
        });
    }
}
