//! Names of the fields of multipart forms.

/// The secret of an embed; the image of every other call.
pub const FILE: &str = "file";
/// Image to hide the secret in.
pub const COVER: &str = "cover";
/// Cover of the catalogue; refused until there is one.
pub const COVER_ID: &str = "cover_id";
/// Embedding mode.
pub const MODE: &str = "mode";
/// Bits carried per sample.
pub const BITS: &str = "bits";
/// Handling of the cover's metadata.
pub const METADATA: &str = "metadata";
/// Extent of the check of a stego image.
pub const VERIFY: &str = "verify";
/// First image of a comparison.
pub const A: &str = "a";
/// Second image of a comparison.
pub const B: &str = "b";
/// Factor of the differences in the picture of a comparison.
pub const AMPLIFY: &str = "amplify";
/// Passphrase of a sealed payload, in UTF-8.
pub const PASSPHRASE: &str = "passphrase";
/// Common misnomer of [`PASSPHRASE`], refused by name.
pub const PASSWORD: &str = "password";
/// Key file of a sealed payload: any bytes.
pub const KEY_FILE: &str = "key_file";
/// Label of a marked copy; refused until there are any.
pub const LABEL: &str = "label";
