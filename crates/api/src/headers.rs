//! Names of the headers defined by this API, in lower case (RFC 9110, 5.1).

/// Time for which the caller waits, in milliseconds. A call with a quorum ends within this time, so that the
/// caller learns the outcome.
pub const TIMEOUT_MS: &str = "x-steg-timeout-ms";
/// Name of the operator, which is kept with a change.
pub const OPERATOR: &str = "x-steg-operator";
/// Id of the request: in every answer, and in the node's log.
pub const REQUEST_ID: &str = "x-request-id";
/// Key under which a request may be repeated (1 to 200 visible ASCII characters).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Pixels in a row.
pub const WIDTH: &str = "x-stego-width";
/// Rows.
pub const HEIGHT: &str = "x-stego-height";
/// Samples of a pixel, alpha included.
pub const CHANNELS: &str = "x-stego-channels";
/// Bits of a sample: 8 or 16.
pub const BIT_DEPTH: &str = "x-stego-bit-depth";
/// Bits carried per sample.
pub const BITS: &str = "x-stego-bits";
/// Capacity of the cover in bytes.
pub const CAPACITY_BYTES: &str = "x-stego-capacity-bytes";
/// Length of the secret in bytes.
pub const SECRET_SIZE_BYTES: &str = "x-stego-secret-size-bytes";
/// Length of the container in bytes.
pub const PAYLOAD_SIZE_BYTES: &str = "x-stego-payload-size-bytes";
/// Peak signal-to-noise ratio in decibels; left out if infinite.
pub const PSNR_DB: &str = "x-stego-psnr-db";
/// Note for the user, a string of RFC 9651 (3.3.3); once for each note.
pub const NOTE: &str = "x-stego-note";
/// Length of the extracted secret in bytes.
pub const RECOVERED_SIZE_BYTES: &str = "x-stego-recovered-size-bytes";
/// Media type of the extracted secret.
pub const RECOVERED_MIME: &str = "x-stego-recovered-mime";
/// Mark in the image.
pub const MARK: &str = "x-stego-mark";
/// Structural similarity.
pub const SSIM: &str = "x-stego-ssim";
/// Factor of the differences in the picture of a comparison.
pub const AMPLIFY: &str = "x-stego-amplify";
/// Colour samples of each image.
pub const SAMPLES: &str = "x-stego-samples";
/// Number of differing colour samples.
pub const DIFFERING_SAMPLES: &str = "x-stego-differing-samples";
/// Pixels of each image.
pub const PIXELS: &str = "x-stego-pixels";
/// Pixels of which a colour sample differs.
pub const DIFFERING_PIXELS: &str = "x-stego-differing-pixels";
/// Largest difference between two colour samples.
pub const LARGEST_DIFFERENCE: &str = "x-stego-largest-difference";
/// Pixels whose alpha differs.
pub const DIFFERING_ALPHA: &str = "x-stego-differing-alpha";

/// Headers of requests.
pub const OF_REQUESTS: [&str; 4] = [IDEMPOTENCY_KEY, OPERATOR, TIMEOUT_MS, REQUEST_ID];
/// Headers of answers.
pub const OF_ANSWERS: [&str; 22] = [
    REQUEST_ID,
    AMPLIFY,
    BIT_DEPTH,
    BITS,
    CAPACITY_BYTES,
    CHANNELS,
    DIFFERING_ALPHA,
    DIFFERING_PIXELS,
    DIFFERING_SAMPLES,
    HEIGHT,
    LARGEST_DIFFERENCE,
    MARK,
    NOTE,
    PAYLOAD_SIZE_BYTES,
    PIXELS,
    PSNR_DB,
    RECOVERED_MIME,
    RECOVERED_SIZE_BYTES,
    SAMPLES,
    SECRET_SIZE_BYTES,
    SSIM,
    WIDTH,
];
