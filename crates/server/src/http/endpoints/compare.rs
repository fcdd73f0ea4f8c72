//! `POST /api/compare`.

use std::sync::Arc;

use api::fields;
use api::headers;
use api::images::CompareAnswer;
use api::{Code, ProblemDocument};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use stego::{Cover, ImageError, ImageInfo, Limits, Quality, difference_image, probe};
use utoipa::ToSchema;

use super::choices::Binary;
use crate::data_plane::DataPlane;
use crate::http::answer::negotiate::prefers;
use crate::http::answer::problem::Problem;
use crate::http::answer::responses::ImageProblems;
use crate::http::answer::{self, Answer};
use crate::http::body::upload::{FieldKind, Fields, Form, InvalidValue, UploadedFile};
use crate::http::body::upload_request::UploadRequest;
use crate::http::middleware::principal::{Anonymous, Principal};
use crate::work::Work;

const FIELDS: Fields = &[
    (fields::A, FieldKind::File),
    (fields::B, FieldKind::File),
    (fields::AMPLIFY, FieldKind::Text(|text| parse_amplify(text).map(drop))),
];
const PNG: &str = "image/png";
/// The largest possible difference, and therefore the largest sensible factor.
const MAX_AMPLIFY: u32 = u16::MAX as u32;

/// Form of a comparison.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct CompareForm {
    /// An image, such as a cover.
    #[schema(value_type = String, format = Binary)]
    a: Vec<u8>,
    /// An image of the same size and kind, such as the stego image made from `a`.
    #[schema(value_type = String, format = Binary)]
    b: Vec<u8>,
    /// Factor of the differences in the picture; the default is the largest factor that keeps the largest
    /// difference within white.
    #[schema(minimum = 1, maximum = 65535)]
    amplify: Option<u32>,
}

/// Compare two images
///
/// PSNR, SSIM and counts of differing samples and pixels, as decoded by this node; typically of a cover and
/// its stego image. With `Accept: image/png` the answer is a picture of the differences, and the figures are
/// in the `x-stego-*` headers.
#[utoipa::path(
    post, path = "/api/compare", tag = "stego",
    request_body(content = CompareForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Figures of the difference, or a picture", content(
            (CompareAnswer = "application/json"),
            (inline(Binary) = "image/png"),
        )),
        (status = 422, description = "Images of different size or kind", body = ProblemDocument, content_type = "application/problem+json"),
        ImageProblems,
    )
)]
pub(crate) async fn compare(
    _: Principal<Anonymous>,
    State(data): State<Arc<DataPlane>>,
    upload: UploadRequest,
) -> Result<Response, Problem> {
    let UploadRequest { request, headers, request_id, start_by, .. } = upload;
    let as_png = prefers(&headers, PNG);
    let mut form = Form::receive(request, FIELDS, &data, start_by).await?;
    let amplify = form.text(fields::AMPLIFY).map(parse_amplify).transpose()?;
    let mut image = |name| form.take_image(name)?.ok_or_else(|| missing(name));
    let images = [image(fields::A)?, image(fields::B)?];
    let measure = move |images: &[UploadedFile; 2], limits: &Limits| memory_bytes(images, limits, as_png);
    let run = move |images: [UploadedFile; 2], limits: &Limits| {
        let compared = Compared::of(images, limits)?;
        if as_png { compared.picture(amplify, limits) } else { Answer::json(&compared.figures(&request_id)) }
    };
    Work::new(&data, start_by).measure_and_run(images, measure, run).await?.into_response(&data)
}

fn missing(name: &str) -> Problem {
    let detail =
        format!("the field `{name}` with an image is missing; with curl: -F a=@cover.png -F b=@stego.png");
    Problem::new(Code::FileMissing, detail)
}

fn parse_amplify(text: &str) -> Result<u32, InvalidValue> {
    text.parse().ok().filter(|times| (1..=MAX_AMPLIFY).contains(times)).ok_or_else(|| {
        let detail = format!("the field `amplify` takes a whole number from 1 to {MAX_AMPLIFY}");
        InvalidValue::new(Code::AmplifyOutOfRange, detail)
    })
}

/// Returns the memory needed, by both headers. Runs on a pixel thread.
fn memory_bytes([a, b]: &[UploadedFile; 2], limits: &Limits, as_png: bool) -> Result<u64, Problem> {
    let of_field = |file: &UploadedFile, name| probe(&file.bytes, limits).map_err(|error| named(name, error));
    let (a, b) = (of_field(a, fields::A)?, of_field(b, fields::B)?);
    let memory_bytes = ImageInfo::compare_memory_bytes(&a, &b, as_png);
    b.check_memory(memory_bytes, limits)?;
    Ok(memory_bytes + a.doubtful_memory_bytes() + b.doubtful_memory_bytes())
}

/// Problem with one of the two images, with the name of its field.
fn named(name: &str, error: ImageError) -> Problem {
    Problem::from(error).in_field(name)
}

/// Two images and the figures of their difference.
struct Compared {
    a: Cover,
    b: Cover,
    quality: Quality,
}

impl Compared {
    /// Decodes and compares two images, on a pixel thread.
    fn of([a, b]: [UploadedFile; 2], limits: &Limits) -> Result<Self, Problem> {
        // Each file is dropped once decoded.
        let decode =
            |file: UploadedFile, name| Cover::decode(&file.bytes, limits).map_err(|error| named(name, error));
        let (a, b) = (decode(a, fields::A)?, decode(b, fields::B)?);
        let quality = Quality::between(&a, &b, &limits.watch)?;
        Ok(Self { a, b, quality })
    }

    fn psnr_db(&self) -> Option<f64> {
        Some(self.quality.psnr_db).filter(|psnr_db| psnr_db.is_finite())
    }

    fn figures(&self, request_id: &str) -> CompareAnswer {
        let quality = &self.quality;
        CompareAnswer {
            request_id: request_id.to_owned(),
            width: self.a.width(),
            height: self.a.height(),
            channels: self.a.channels().count() as u8,
            bit_depth: self.a.depth().bits(),
            identical: quality.differing_samples == 0 && quality.differing_alpha == 0,
            psnr_db: self.psnr_db(),
            ssim: quality.ssim,
            mse: quality.mse,
            samples: quality.samples,
            differing_samples: quality.differing_samples,
            pixels: quality.pixels,
            differing_pixels: quality.differing_pixels,
            largest_difference: quality.largest_difference,
            differing_alpha: quality.differing_alpha,
        }
    }

    /// Answers with the picture of the differences, the figures in headers.
    fn picture(self, amplify: Option<u32>, limits: &Limits) -> Result<Answer, Problem> {
        let quality = &self.quality;
        let amplify = amplify.unwrap_or_else(|| quality.amplification(self.a.depth()));
        let mut map = HeaderMap::new();
        let counts = [
            (headers::AMPLIFY, u64::from(amplify)),
            (headers::SAMPLES, quality.samples),
            (headers::DIFFERING_SAMPLES, quality.differing_samples),
            (headers::PIXELS, quality.pixels),
            (headers::DIFFERING_PIXELS, quality.differing_pixels),
            (headers::LARGEST_DIFFERENCE, u64::from(quality.largest_difference)),
            (headers::DIFFERING_ALPHA, quality.differing_alpha),
        ];
        for (name, count) in counts {
            answer::insert(&mut map, name, &count.to_string());
        }
        for (name, figure) in [(headers::PSNR_DB, self.psnr_db()), (headers::SSIM, quality.ssim)] {
            if let Some(figure) = figure {
                answer::insert(&mut map, name, &format!("{figure:.8}"));
            }
        }
        let difference = difference_image(&self.a, &self.b, amplify)?;
        drop((self.a, self.b));
        let png = difference.to_png_within(&limits.watch)?;
        Ok(Answer { media_type: PNG, headers: map, body: vec![png.into()] })
    }
}
