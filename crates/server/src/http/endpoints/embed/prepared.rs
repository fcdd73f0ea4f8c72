//! Embedding into a prepared cover: an answer consists of the changed rows and chunks shared by all answers.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use stego::{Limits, Note, Part};
use tokio::time::Instant;

use super::figures::{EmbedFigures, PNG};
use super::order::Order;
use super::pieces;
use crate::covers::ReadyCover;
use crate::data_plane::DataPlane;
use crate::http::answer::problem::Problem;
use crate::http::answer::{self, Answer, Piece, base64_len};
use crate::work::Work;

/// Maximum length of a secret that is embedded on an async thread, within the limit of half a millisecond:
/// 0.3 ms for text, 0.12 ms for incompressible bytes, and the base64 of the changed rows.
const MAX_SMALL_SECRET_BYTES: u64 = 16 << 10;

/// Embeds into `cover`: a short secret without a key at once, any other on a pixel thread.
pub(super) async fn embed(
    data: &Arc<DataPlane>,
    order: Order,
    cover: Arc<ReadyCover>,
    start_by: Instant,
) -> Result<Answer, Problem> {
    let is_open = order.options.seal.is_none();
    if is_open && order.secret_len_bytes() <= MAX_SMALL_SECRET_BYTES {
        return embed_now(&order, &cover, &data.limits);
    }
    let info = cover.prepared().cover().info();
    let json_bytes = if order.as_png { 0 } else { base64_len(info.decoded_bytes()) };
    let memory_bytes =
        cover.prepared().embed_memory_bytes(order.secret_len_bytes(), &order.options) + json_bytes;
    let memory_bytes = order.without_derivation(memory_bytes);
    info.check_memory(memory_bytes, &data.limits)?;
    let run = |(order, cover), limits: &Limits| embed_now(&order, &cover, limits);
    Work::new(data, start_by).run((order, cover), memory_bytes, run).await
}

fn embed_now(order: &Order, cover: &Arc<ReadyCover>, limits: &Limits) -> Result<Answer, Problem> {
    let mut image = stego::embed(cover.prepared(), &order.secret(), &order.options, limits)?;
    if order.options.seal.is_some() {
        // Everybody has the built-in images.
        image.report.notes.push(Note::CoverIsKnown);
    }
    let figures = EmbedFigures::of(&image.report, order);
    if order.as_png {
        let headers = figures.headers();
        return Ok(Answer { media_type: PNG, headers, body: pieces(image.parts, &cover.chunks()) });
    }
    let document = answer::to_json(&figures.answer(&order.request_id, &[]))?;
    let mut before = before_image(document).ok_or_else(Problem::internal)?;
    let image = Base64Parts::of(image.parts, cover);
    before.push_str(&image.head);
    let end = image.end + AFTER_IMAGE;
    Ok(Answer::of_json([
        Piece::Own(before.into_bytes()),
        Piece::Shared(image.rest),
        Piece::Own(end.into_bytes()),
    ]))
}

/// End of the JSON document after the image, its last member.
const AFTER_IMAGE: &str = "\"}";

/// Removes the end of a document without an image, as the place of the image.
fn before_image(document: Vec<u8>) -> Option<String> {
    let mut before = String::from_utf8(document).ok()?;
    debug_assert!(before.ends_with("\"stego_image_b64\":\"\"}"), "the image is the last member");
    let kept = before.strip_suffix(AFTER_IMAGE)?.len();
    before.truncate(kept);
    Some(before)
}

/// A stego image in base64 with a shared middle.
struct Base64Parts {
    head: String,
    rest: Bytes,
    end: String,
}

impl Base64Parts {
    /// Reuses the cover's base64, encoded in groups of three bytes. Heads are padded such that these groups
    /// begin at the same bytes of the image; otherwise (a head that is the whole image) everything is encoded
    /// anew.
    fn of(parts: Vec<Part<'_>>, cover: &Arc<ReadyCover>) -> Self {
        let chunks = cover.prepared().chunks();
        let [Part::New(head), Part::Kept(rest), Part::New(trailer)] = parts.as_slice() else {
            return Self::whole(&parts);
        };
        let tail_start = chunks.len() - rest.len();
        let (begin, end) = (tail_start.next_multiple_of(3), chunks.len() / 3 * 3);
        if begin > end || head.len() % 3 != tail_start % 3 {
            return Self::whole(&parts);
        }
        let head = [head, &chunks[tail_start..begin]].concat();
        let trailer = [&chunks[end..], trailer].concat();
        debug_assert!(head.len().is_multiple_of(3), "the shared groups follow whole groups");
        let rest = cover.chunks_base64(begin);
        Self { head: STANDARD.encode(head), rest, end: STANDARD.encode(trailer) }
    }

    fn whole(parts: &[Part<'_>]) -> Self {
        let image: Vec<u8> = parts.iter().flat_map(Part::as_bytes).copied().collect();
        Self { head: STANDARD.encode(image), rest: Bytes::new(), end: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stego::{BitsPerSample, Channels, Cover, MetadataPolicy, Mode, PreparedCover, Watch};

    use super::*;
    use crate::budget::Budget;
    use crate::covers::{CoverCache, CoverKey, MadeCover};

    fn ready(cover: Cover) -> Arc<ReadyCover> {
        let made = || async {
            let prepared = PreparedCover::new(cover, MetadataPolicy::Keep, &Watch::default());
            Ok(MadeCover::new(prepared.unwrap()))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let cache = CoverCache::new(1 << 30, Budget::new(0));
            let deadline = Instant::now() + std::time::Duration::from_secs(60);
            cache.get(CoverKey::Dataset(0), deadline, made).await.unwrap()
        })
    }

    fn body(answer: Answer) -> Vec<u8> {
        let pieces = answer.body.into_iter().map(|piece| match piece {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes.to_vec(),
        });
        pieces.collect::<Vec<_>>().concat()
    }

    /// Compares both answers with the library's own image, and the document with a document serialized at
    /// once.
    fn check(cover: &Arc<ReadyCover>, secret: &[u8], bits: BitsPerSample) {
        let limits = Limits::default();
        let order = Order::of_secret(secret, bits, true);
        let image = stego::embed(cover.prepared(), &order.secret(), &order.options, &limits).unwrap();
        let want = image.to_vec();
        assert!(body(embed_now(&order, cover, &limits).unwrap()) == want);

        let order = Order::of_secret(secret, bits, false);
        let document = body(embed_now(&order, cover, &limits).unwrap());
        let figures = EmbedFigures::of(&image.report, &order);
        assert!(document == answer::to_json(&figures.answer("r-1", &want)).unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn answers_in_pieces_are_what_they_are_in_one(
            (width, height) in (60_u32..700, 1_u32..300),
            channels in prop::sample::select(vec![Channels::Grey, Channels::Rgb, Channels::Rgba]),
            share in 0.0..1.0_f64,
            bits in 1_u8..=4,
        ) {
            let len = (width * height) as usize * channels.count();
            let cover = Cover::from_samples(width, height, channels, testkit::noise(len as u64, len)).unwrap();
            let cover = ready(cover);
            let bits = BitsPerSample::new(bits).unwrap();
            let capacity = cover.prepared().capacity(Mode::Sequential).secret_bytes(bits);
            prop_assume!(capacity > 0);
            for share in [share, share / 64.0, 1.0] {
                check(&cover, &testkit::noise(7, (capacity as f64 * share) as usize), bits);
            }
        }
    }

    #[test]
    fn the_default_cover_too() {
        let cover = ready(dataset::cover(crate::data_plane::DEFAULT_COVER).unwrap());
        for len in [0, 1, 1000, 10_000, 100_000, 600_000] {
            check(&cover, &testkit::noise(len, len as usize), BitsPerSample::ONE);
        }
    }
}
