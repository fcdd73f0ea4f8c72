//! The key of an embed.

use stego::{ImageFile, Limits, Seal, SealingKey};
use tokio::time::Instant;

use super::order::Order;
use crate::app::App;
use crate::derivations::Caller;
use crate::http::answer::problem::Problem;
use crate::http::idempotency::Identity;
use crate::work::Work;

/// Derives the keys of the stego image, in the caller's turn, once the header of the cover is known to be
/// sound. An order without a key stays as it is.
pub(super) async fn derive(
    app: &App,
    mut order: Order,
    identity: &Identity,
    (caller, start_by): (Caller, Instant),
) -> Result<Order, Problem> {
    let Some(parts) = order.key.take() else { return Ok(order) };
    let salt = identity.salt()?;
    let run = move |order: Order, limits: &Limits| -> Result<(Order, SealingKey), Problem> {
        if let Some(cover) = &order.cover {
            let cover = ImageFile::open(cover, limits)?;
            let memory_bytes = cover.embed_memory_bytes(order.secret_len_bytes(), &order.options);
            cover.info().check_memory(memory_bytes, limits)?;
        }
        Ok((order, parts.key()?))
    };
    let (mut order, key) = Work::new(&app.data, start_by).run(order, 0, run).await?;
    let keys = app.data.derivations.derive(caller, (key, salt), start_by).await?;
    let metadata = order.options.metadata;
    order.options = order.options.with_seal(Seal::Derived(keys)).with_metadata(metadata);
    Ok(order)
}
