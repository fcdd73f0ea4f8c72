//! `POST /api/embed`.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use stego::{
    BitsPerSample, Cover, EmbedOptions, Embedded, FileName, Limits, MediaType, MetadataPolicy, Secret, probe,
};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::{self, Answer, base64_len};
use super::code::Code;
use super::idempotency;
use super::negotiate::prefers;
use super::problem::Problem;
use super::request::RequestId;
use super::responses::ImageProblems;
use super::upload::{FieldKind, Fields, Form};
use crate::app::App;
use crate::budget::CountedBytes;
use crate::work::Work;

const PATH: &str = "/api/embed";
const PNG: &str = "image/png";
const FIELDS: Fields = &[
    ("file", FieldKind::File),
    ("cover", FieldKind::File),
    ("cover_id", FieldKind::Text),
    ("label", FieldKind::Text),
    ("passphrase", FieldKind::Text),
    ("mode", FieldKind::Text),
    ("bits", FieldKind::Text),
    ("metadata", FieldKind::Text),
];
/// Fields of the contract that this release does not serve. Ignoring one would do something else than what was asked.
const NOT_SERVED: [&str; 3] = ["cover_id", "label", "passphrase"];

/// The form of an embed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(super) struct EmbedForm {
    /// The secret: any bytes. Its file name and media type are kept and given back.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The cover: a PNG of any kind, a JPEG, BMP, GIF, TIFF, QOI or WebP. Of an animation, the first frame is used. Without
    /// this field it is the default cover (`dataset/0`).
    #[schema(value_type = Option<String>, format = Binary)]
    cover: Option<Vec<u8>>,
    /// How bits ride: `sequential`.
    mode: Option<String>,
    /// Bits per sample, 1 to 4.
    #[schema(minimum = 1, maximum = 4)]
    bits: Option<u8>,
    /// What becomes of the metadata in the cover's file: `keep` (where the cluster's settings do not say otherwise) or
    /// `strip`. What defines the colours stays in either case.
    metadata: Option<String>,
}

/// A stego image and the figures about it.
#[derive(Serialize, ToSchema)]
pub(super) struct EmbedAnswer<'a> {
    /// The request's id.
    request_id: &'a str,
    /// The cover.
    cover_info: CoverInfo,
    /// Length of the secret in bytes.
    secret_size_bytes: u64,
    /// Length of what is carried, in bytes: a header, the name, and the secret, compressed where that helps.
    payload_size_bytes: u64,
    /// Peak signal-to-noise ratio against the cover in decibels; null if no sample changed.
    psnr_db: Option<f64>,
    /// The stego image: a PNG in base64.
    #[serde(serialize_with = "answer::base64")]
    #[schema(value_type = String)]
    stego_image_b64: &'a [u8],
    /// What the user should know.
    notes: Vec<String>,
    /// The mark that tells this copy from others; null in an unlabelled embed.
    mark_id: Option<String>,
}

/// A cover and what it carries.
#[derive(Serialize, ToSchema)]
pub(super) struct CoverInfo {
    width: u32,
    height: u32,
    /// Samples of a pixel, alpha included.
    channels: u8,
    /// Bits of a sample: 8 or 16.
    bits_per_sample: u8,
    /// Bits per sample that carry.
    lsb_per_channel: u8,
    /// The longest secret in bytes that fits at these bits if it does not compress.
    capacity_bytes: u64,
}

impl CoverInfo {
    pub(super) fn new(cover: &Cover, bits: BitsPerSample, capacity_bytes: u64) -> Self {
        Self {
            width: cover.width(),
            height: cover.height(),
            channels: cover.channels().count() as u8,
            bits_per_sample: cover.depth().bits(),
            lsb_per_channel: bits.as_u8(),
            capacity_bytes,
        }
    }
}

/// Hide a file in an image
///
/// Returns the stego image, a PNG, as JSON with base64 or, with `Accept: image/png`, as it is; the
/// figures then are in the `x-stego-*` headers. It was read back before it is answered. The same upload under the same
/// `Idempotency-Key` has the same answer on every node of a release, `request_id` included.
#[utoipa::path(
    post, path = "/api/embed", tag = "stego",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 visible ASCII characters")),
    request_body(content = EmbedForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The stego image", content(
            (EmbedAnswer<'static> = "application/json"),
            (Vec<u8> = "image/png"),
        )),
        ImageProblems,
    )
)]
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let start_by = app.start_by();
    let headers = request.headers().clone();
    let form = Form::receive(request, FIELDS, &app, start_by).await?;
    let upload = (PATH, &headers);
    let (form, request_id) = idempotency::id_of_upload(&app, upload, form, request_id, start_by).await?;
    let as_png = prefers(&headers, PNG);
    let answer = embed_form(&app, form, Arc::clone(&request_id), as_png, start_by).await;
    Ok(idempotency::under(request_id, answer))
}

async fn embed_form(
    app: &Arc<App>,
    form: Form,
    request_id: Arc<str>,
    as_png: bool,
    start_by: Instant,
) -> Result<Response, Problem> {
    let job = Job { order: Order::from_form(form, app)?, request_id, as_png, app: Arc::clone(app) };
    let work = Work::new(app, start_by);
    let answer = if job.order.cover.is_none() && app.has_default_cover() {
        let memory_bytes = job.memory_bytes(&app.limits)?;
        work.run(job, memory_bytes, Job::run).await
    } else {
        work.measure_and_run(job, Job::memory_bytes, Job::run).await
    };
    let answer = answer?.into_response(app)?;
    app.metrics.count_embedded();
    Ok(answer)
}

/// What is to be embedded where.
struct Order {
    secret: CountedBytes,
    name: Option<FileName>,
    media_type: Option<MediaType>,
    cover: Option<CountedBytes>,
    options: EmbedOptions,
}

impl Order {
    fn from_form(mut form: Form, app: &App) -> Result<Self, Problem> {
        if let Some(field) = NOT_SERVED.iter().find(|field| form.text(field).is_some()) {
            let detail = format!("this release does not serve the field `{field}` yet; nothing was embedded");
            return Err(Problem::new(Code::NotSupportedYet, detail));
        }
        if let Some(mode) = form.text("mode").filter(|mode| *mode != "sequential") {
            let mode: String = mode.chars().take(64).collect();
            return Err(Problem::new(
                Code::UnknownMode,
                format!("there is no mode `{mode}`; there is sequential"),
            ));
        }
        let bits = form.text("bits").map_or_else(|| Ok(app.default_bits()), parse_bits)?;
        let metadata = form.text("metadata").map_or_else(|| Ok(app.default_metadata()), parse_metadata)?;
        let file = form.take_file("file").ok_or_else(|| {
            Problem::new(
                Code::FileMissing,
                "the field `file` with the secret is missing; with curl: -F file=@secret.pdf",
            )
        })?;
        let cover = form.take_image("cover")?.map(|cover| cover.bytes);
        Ok(Self {
            secret: file.bytes,
            name: file.name.as_deref().and_then(FileName::from_path),
            media_type: file.media_type.as_deref().and_then(MediaType::parse),
            cover,
            options: EmbedOptions { bits, compress: app.default_compress(), metadata },
        })
    }
}

fn parse_bits(text: &str) -> Result<BitsPerSample, Problem> {
    text.parse().ok().and_then(BitsPerSample::new).ok_or_else(|| {
        Problem::new(Code::BitsOutOfRange, "the field `bits` takes 1, 2, 3 or 4 bits per sample")
    })
}

fn parse_metadata(text: &str) -> Result<MetadataPolicy, Problem> {
    match text {
        "keep" => Ok(MetadataPolicy::Keep),
        "strip" => Ok(MetadataPolicy::Strip),
        _ => Err(Problem::new(Code::UnknownMetadataPolicy, "the field `metadata` takes keep or strip")),
    }
}

struct Job {
    order: Order,
    request_id: Arc<str>,
    as_png: bool,
    app: Arc<App>,
}

impl Job {
    /// What the work will take in memory, by the cover's header; what can never fit is refused. Belongs on a pixel thread
    /// unless the cover is the default one and there already.
    fn memory_bytes(&self, limits: &Limits) -> Result<u64, Problem> {
        let info = match &self.order.cover {
            Some(file) => probe(file, limits)?,
            None => self.app.default_cover().info(),
        };
        let secret_len_bytes = self.order.secret.len() as u64;
        let json_bytes = if self.as_png { 0 } else { base64_len(info.decoded_bytes()) };
        let memory_bytes = info.embed_memory_bytes(secret_len_bytes) + json_bytes;
        info.check_memory(memory_bytes, limits)?;
        Ok(memory_bytes)
    }

    /// On a pixel thread. Each file that was sent is dropped as soon as it is not needed any more.
    fn run(self, limits: &Limits) -> Result<Answer, Problem> {
        let Order { secret, name, media_type, cover, options } = self.order;
        let cover = match cover {
            Some(file) => Arc::new(Cover::decode(&file, limits)?),
            None => self.app.default_cover(),
        };
        let secret_size_bytes = secret.len() as u64;
        let embedded = {
            let named = Secret { bytes: &secret, name, media_type, mark: None };
            stego::embed(&cover, &named, &options, limits)?
        };
        let cover_info = CoverInfo::new(&cover, options.bits, embedded.capacity_bytes);
        drop((cover, secret));
        if self.as_png {
            return Ok(png_answer(embedded, &cover_info, secret_size_bytes));
        }
        Answer::json(&EmbedAnswer {
            request_id: &self.request_id,
            cover_info,
            secret_size_bytes,
            payload_size_bytes: embedded.payload_bytes,
            psnr_db: embedded.psnr_db.is_finite().then_some(embedded.psnr_db),
            stego_image_b64: &embedded.png,
            notes: embedded.notes.iter().map(ToString::to_string).collect(),
            mark_id: None,
        })
    }
}

fn png_answer(embedded: Embedded, cover: &CoverInfo, secret_size_bytes: u64) -> Answer {
    let mut headers = HeaderMap::new();
    let figures = [
        ("x-stego-width", u64::from(cover.width)),
        ("x-stego-height", u64::from(cover.height)),
        ("x-stego-channels", u64::from(cover.channels)),
        ("x-stego-bits-per-sample", u64::from(cover.bits_per_sample)),
        ("x-stego-lsb-per-channel", u64::from(cover.lsb_per_channel)),
        ("x-stego-capacity-bytes", cover.capacity_bytes),
        ("x-stego-secret-size-bytes", secret_size_bytes),
        ("x-stego-payload-size-bytes", embedded.payload_bytes),
    ];
    for (name, figure) in figures {
        answer::insert(&mut headers, name, &figure.to_string());
    }
    if embedded.psnr_db.is_finite() {
        answer::insert(&mut headers, "x-stego-psnr-db", &format!("{:.2}", embedded.psnr_db));
    }
    answer::insert_notes(&mut headers, &embedded.notes);
    answer::insert(&mut headers, "content-disposition", "inline; filename=\"stego.png\"");
    Answer { media_type: PNG, headers, body: embedded.png }
}
