//! Entry point for fuzzing the frames.

use super::super::pause::Pause;
use super::*;

const KEY: [u8; 32] = [5; 32];

/// Receives `bytes` unchanged, sealed as a body, and sealed with a corrupted byte.
pub(crate) fn check(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O needs nothing").block_on(async {
        // An unauthenticated peer does not know the key, and no frame begins without an authenticator.
        assert!(received(bytes).await.0.is_empty(), "a forged frame was delivered");
        let sealed = sealed(bytes).await;
        let (bodies, end) = received(&sealed).await;
        assert!(bodies == [bytes] && matches!(end, FrameError::Closed), "a frame was not delivered: {end}");
        let Some((&at, &flip)) = bytes.first().zip(bytes.get(1)).filter(|(_, flip)| **flip != 0) else {
            return;
        };
        let mut tampered = sealed;
        let at = usize::from(at) * tampered.len() / 256;
        tampered[at] ^= flip;
        assert!(received(&tampered).await.0.is_empty(), "a damaged frame was delivered");
    });
}

async fn sealed(body: &[u8]) -> Vec<u8> {
    let state = SendState::new(&KEY, Pause::new().watch(), None);
    let mut sender = FrameSender { output: Vec::new(), state };
    sender.send_bytes(body).await.expect("a body of this length can be sent");
    sender.output
}

/// Returns the delivered bodies and the final error.
async fn received(bytes: &[u8]) -> (Vec<Bytes>, FrameError) {
    let pause = Pause::new();
    let mut receiver = FrameReceiver { input: bytes, state: ReceiveState::new(&KEY, pause.watch(), None) };
    let mut bodies = Vec::new();
    loop {
        match receiver.recv_bytes().await {
            Ok(body) => bodies.push(body),
            Err(error) => {
                assert!(matches!(receiver.recv_bytes().await, Err(FrameError::Ended)), "frames went on");
                let room = receiver.state.buffer.capacity();
                assert!(
                    room <= 2 * bytes.len() + 2 * PIECE_BYTES,
                    "{room} bytes were kept for {}",
                    bytes.len()
                );
                return (bodies, error);
            }
        }
    }
}
