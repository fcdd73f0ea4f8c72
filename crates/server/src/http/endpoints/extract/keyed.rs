//! Extraction with a key: the image is read, the keys are derived, the payload is opened.
//!
//! What depends on the image alone is found before the derivation. From there on an image without a payload
//! and one under another key take the same path to the same answer.

use std::sync::Arc;

use api::Code;
use stego::{DerivedKey, ImageFile, Limits, SealedReading, SealingKey};
use tokio::time::Instant;

use super::early::Found;
use super::{answer_with, take_image};
use crate::budget::Share;
use crate::data_plane::DataPlane;
use crate::derivations::Caller;
use crate::http::answer::problem::Problem;
use crate::http::answer::{Answer, base64_len};
use crate::http::body::upload::{Form, KeyParts, UploadedFile};
use crate::work::Work;

/// Samples of which a reading holds two bits each, in a byte.
const SAMPLES_PER_BYTE: u64 = 4;
/// Upper estimate of what a reading holds besides, in bytes.
const READING_BYTES: u64 = 64 << 10;

/// An image that was read, with the key that is to open it.
struct Read {
    reading: SealedReading,
    key: SealingKey,
    /// Greatest lengths in bytes of the payload and of the secret.
    lengths_bytes: (u64, u64),
    memory: Share,
}

/// Takes the image out of a form whose beginning was inspected before the key arrived.
///
/// # Errors
/// The problem of an image that nothing is extracted from, with or without a key;
/// [`Code::MalformedRequest`] if the image is gone because its open payload was found.
pub(super) fn image(mut form: Form, found: Option<Result<Found, Problem>>) -> Result<UploadedFile, Problem> {
    match found {
        None => take_image(&mut form),
        Some(Err(problem)) => Err(problem),
        Some(Ok(_)) => Err(Problem::new(
            Code::MalformedRequest,
            "the image carries a payload without a key, which was read while the image arrived; to extract with \
             the key, send the fields `passphrase` and `key_file` before `file`",
        )),
    }
}

/// Extracts from `file` with the key.
pub(super) async fn extract(
    data: &Arc<DataPlane>,
    (file, key): (UploadedFile, KeyParts),
    (caller, start_by): (Caller, Instant),
    (request_id, as_bytes): (&Arc<str>, bool),
) -> Result<Answer, Problem> {
    let memory = data.transfer_memory.empty_share();
    let job = (file, key, memory);
    let read = Work::new(data, start_by).measure_and_run(job, reading_memory_bytes, read).await?;
    let Read { reading, key, lengths_bytes, memory } = read;
    let keys = data.derivations.derive(caller, (key, reading.salt()), start_by).await?;

    let (carried_bytes, secret_bytes) = lengths_bytes;
    let json_bytes = if as_bytes { 0 } else { base64_len(secret_bytes) };
    let memory_bytes = 2 * carried_bytes + secret_bytes + json_bytes;
    let request_id = Arc::clone(request_id);
    let open = move |(reading, keys, _memory): (SealedReading, DerivedKey, Share), limits: &Limits| {
        let found = reading.open(&keys, limits)?;
        drop(reading);
        answer_with(found, &request_id, as_bytes)
    };
    Work::new(data, start_by).run((reading, keys, memory), memory_bytes, open).await
}

/// Returns the memory for reading the image, by its header; the derivation has its own. Runs on a pixel
/// thread.
fn reading_memory_bytes(
    (file, ..): &(UploadedFile, KeyParts, Share),
    limits: &Limits,
) -> Result<u64, Problem> {
    let file = ImageFile::open(&file.bytes, limits)?;
    let memory_bytes = file.sealed_extract_memory_bytes().saturating_sub(SealingKey::DERIVE_MEMORY_BYTES);
    file.info().check_memory(memory_bytes, limits)?;
    Ok(memory_bytes + file.info().doubtful_memory_bytes())
}

/// Reads the image, on a pixel thread. The file is dropped; what was read counts as memory of transfers.
fn read((file, key, mut memory): (UploadedFile, KeyParts, Share), limits: &Limits) -> Result<Read, Problem> {
    let image = ImageFile::open(&file.bytes, limits)?;
    let samples = image.info().pixels() * image.info().channels.count() as u64;
    memory.grow(samples / SAMPLES_PER_BYTE + READING_BYTES)?;
    let lengths_bytes = image.max_sealed_lengths_bytes(limits);
    let reading = SealedReading::of_file(&image, limits)?;
    Ok(Read { reading, key: key.key()?, lengths_bytes, memory })
}
