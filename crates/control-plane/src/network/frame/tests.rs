use proptest::prelude::*;
use tokio::io::duplex;

use super::super::pause::Pause;
use super::*;

const KEY: [u8; 32] = [5; 32];

fn sender<W>(output: W, pause: &Pause) -> FrameSender<W> {
    FrameSender { output, state: SendState::new(&KEY, pause.watch(), None) }
}

fn receiver<R>(input: R, pause: &Pause) -> FrameReceiver<R> {
    FrameReceiver { input, state: ReceiveState::new(&KEY, pause.watch(), None) }
}

/// Returns the frames with these bodies, one after the other.
async fn frames(bodies: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut sender = sender(Vec::new(), &Pause::new());
    let mut frames = Vec::new();
    for body in bodies {
        sender.send_bytes(body).await.unwrap();
        frames.push(std::mem::take(&mut sender.output));
    }
    frames
}

/// Returns the delivered bodies and the final error.
async fn delivered(bytes: &[u8]) -> (Vec<Bytes>, FrameError) {
    let mut receiver = receiver(bytes, &Pause::new());
    let mut bodies = Vec::new();
    loop {
        match receiver.recv_bytes().await {
            Ok(body) => bodies.push(body),
            Err(error) => {
                assert!(matches!(receiver.recv_bytes().await, Err(FrameError::Ended)), "and stays ended");
                return (bodies, error);
            }
        }
    }
}

#[tokio::test]
async fn the_format_is_pinned() {
    // Computed from the module's description with Python's hmac.
    let expected =
        ["0000000422616222d10903097abeb880286a0cfd3247344a", "00000000e78f9615ceda43d86afccfc86c09e53d"];
    let mut sender = sender(Vec::new(), &Pause::new());
    sender.send(&"ab").await.unwrap();
    sender.send_bytes(b"").await.unwrap();
    assert_eq!(hex::encode(&sender.output), expected.concat());
}

#[tokio::test]
async fn bodies_of_any_length_arrive_in_order() {
    let long: Vec<u8> = (0..3 * PIECE_BYTES + 17).map(|n| n as u8).collect();
    let most = vec![9; MAX_FRAME_BYTES];
    let bodies = [b"".as_slice(), b"x", &long[..PIECE_BYTES], &long[..=PIECE_BYTES], &long, &most, b"last"];
    let (received, end) = delivered(&frames(&bodies).await.concat()).await;
    assert!(received.iter().eq(bodies.iter()), "bodies differ");
    assert!(matches!(end, FrameError::Closed), "{end:?}");
}

#[tokio::test]
async fn what_was_tampered_with_is_not_delivered() {
    let [first, second, third] = frames(&[b"one", b"two", b"three"]).await.try_into().unwrap();
    let check = async |bytes: Vec<u8>, whole: usize, expected: &str| {
        let (received, end) = delivered(&bytes).await;
        assert_eq!((received.len(), end.to_string().as_str()), (whole, expected), "{bytes:?}");
    };
    let forged = "a frame was forged, damaged, repeated or out of order";
    let cut_short = "the connection ended in the middle of a frame";
    check([&*first, &*first].concat(), 1, forged).await;
    check([&*second, &*first].concat(), 0, forged).await;
    check([&*first, &*third, &*second].concat(), 1, forged).await;
    check(first[..first.len() - 1].to_vec(), 0, cut_short).await;
    check([&*first, &second[..3]].concat(), 1, cut_short).await;
    let other_key = {
        let mut sender =
            FrameSender { output: Vec::new(), state: SendState::new(&[6; 32], Pause::new().watch(), None) };
        sender.send_bytes(b"one").await.unwrap();
        sender.output
    };
    check(other_key, 0, forged).await;
    for bit in 8 * LENGTH_BYTES..8 * first.len() {
        let mut damaged = first.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check([&*damaged, &*second].concat(), 0, forged).await;
    }
    for length in 0..first.len() as u8 {
        let mut damaged = [&*first, &*second].concat();
        damaged[3] = length;
        if usize::from(length) != b"one".len() {
            let (received, _) = delivered(&damaged).await;
            assert!(received.is_empty(), "length {length}");
        }
    }
}

#[tokio::test]
async fn a_huge_length_takes_no_memory() {
    let pause = Pause::new();
    let mut greedy = receiver(&[0xff, 0xff, 0xff, 0xff][..], &pause);
    let end = greedy.recv_bytes().await.unwrap_err();
    assert!(matches!(end, FrameError::TooLong { bytes: 0xffff_ffff }), "{end:?}");
    // The maximum length, with few bytes received.
    let announced = [(MAX_FRAME_BYTES as u32).to_be_bytes().as_slice(), &[0; 100]].concat();
    let mut patient = receiver(announced.as_slice(), &pause);
    assert!(matches!(patient.recv_bytes().await, Err(FrameError::Truncated)));
    assert!(patient.state.buffer.capacity() <= 2 * PIECE_BYTES, "{}", patient.state.buffer.capacity());
}

#[tokio::test]
async fn a_long_frame_does_not_keep_its_memory() {
    let frames = frames(&[&vec![1; MAX_FRAME_BYTES], b"x"]).await.concat();
    let mut receiver = receiver(frames.as_slice(), &Pause::new());
    receiver.recv_bytes().await.unwrap();
    receiver.recv_bytes().await.unwrap();
    assert!(receiver.state.buffer.capacity() <= 2 * PIECE_BYTES, "{}", receiver.state.buffer.capacity());
}

#[tokio::test]
async fn what_is_too_long_is_not_sent_and_harms_nothing() {
    let mut sender = sender(Vec::new(), &Pause::new());
    let refused = sender.send_bytes(&vec![0; MAX_FRAME_BYTES + 1]).await;
    assert!(matches!(refused, Err(FrameError::TooLong { .. })));
    let refused = sender.send(&std::collections::BTreeMap::from([((1, 2), 3)])).await;
    assert!(matches!(refused, Err(FrameError::Encode(_))), "no JSON has such keys");
    sender.send_bytes(b"x").await.unwrap();
    assert_eq!(delivered(&sender.output).await.0, ["x"]);
}

#[tokio::test]
async fn a_message_of_another_kind_ends_the_connection() {
    let frames = frames(&[b"\"text\"", b"1"]).await.concat();
    let mut receiver = receiver(frames.as_slice(), &Pause::new());
    assert!(matches!(receiver.recv::<u32>().await, Err(FrameError::Malformed(_))));
    assert!(matches!(receiver.recv::<u32>().await, Err(FrameError::Ended)));
}

#[tokio::test]
async fn a_begun_frame_has_a_time_limit_and_the_time_between_frames_has_none() {
    let (near, mut far) = duplex(64);
    let mut receiver = receiver(near, &Pause::new());
    receiver.state.limit = Duration::from_millis(1);
    // Nothing arrives: still waiting long after the limit, which a begun frame would not survive.
    let silence = tokio::time::timeout(Duration::from_millis(20), receiver.recv_bytes()).await;
    assert!(silence.is_err(), "no limit before the first byte");
    far.write_all(&[0]).await.unwrap();
    assert!(matches!(receiver.recv_bytes().await, Err(FrameError::TooSlow)));
}

#[tokio::test]
async fn a_reader_who_takes_nothing_ends_the_connection() {
    let (near, _far) = duplex(8);
    let mut sender = sender(near, &Pause::new());
    sender.state.limit = Duration::from_millis(1);
    assert!(matches!(sender.send_bytes(&[0; 100]).await, Err(FrameError::TooSlow)));
    assert!(matches!(sender.send_bytes(&[]).await, Err(FrameError::Ended)));
}

#[tokio::test]
async fn receiving_may_be_given_up_half_way_and_sending_may_not() {
    let (near, far) = duplex(8);
    let pause = Pause::new();
    let (mut sender, mut receiver) = (sender(near, &pause), receiver(far, &pause));
    let body = [7; 100];
    let send = async {
        sender.send_bytes(&body).await.unwrap();
        // The second frame is not read.
        let mut second = std::pin::pin!(sender.send_bytes(&body));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
    };
    let receive = async {
        loop {
            let mut attempt = std::pin::pin!(receiver.recv_bytes());
            if let std::task::Poll::Ready(received) = futures_util::poll!(attempt.as_mut()) {
                return received.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), received) = tokio::join!(send, receive);
    assert_eq!(received.as_ref(), body);
    assert!(matches!(sender.send_bytes(b"x").await, Err(FrameError::Ended)));
}

#[tokio::test]
async fn a_pause_ends_both_directions_even_if_it_is_over() {
    let (near, far) = duplex(64);
    let pause = Pause::new();
    let (mut sender, mut receiver) = (sender(near, &pause), receiver(far, &pause));
    sender.send_bytes(b"before").await.unwrap();
    pause.pause();
    pause.resume();
    assert!(matches!(sender.send_bytes(b"after").await, Err(FrameError::Paused)));
    assert!(matches!(receiver.recv_bytes().await, Err(FrameError::Paused)));
    assert!(matches!(receiver.recv_bytes().await, Err(FrameError::Ended)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_delivered(bytes: Vec<u8>, length in 0_u32..64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            assert_eq!(delivered(&bytes).await.0.len(), 0);
            assert_eq!(delivered(&[&length.to_be_bytes(), &*bytes].concat()).await.0.len(), 0);
        });
    }

    #[test]
    fn bodies_survive_any_cutting_into_packets(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        packet in 1_usize..300,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let bytes = frames(&bodies).await.concat();
            let (near, mut far) = duplex(packet);
            let write = async move { far.write_all(&bytes).await.unwrap() };
            let read = async {
                let mut receiver = receiver(near, &Pause::new());
                for body in &bodies {
                    assert_eq!(receiver.recv_bytes().await.unwrap().as_ref(), *body);
                }
                assert!(matches!(receiver.recv_bytes().await, Err(FrameError::Closed)));
            };
            tokio::join!(write, read);
        });
    }
}
