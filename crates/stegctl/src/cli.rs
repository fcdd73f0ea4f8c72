//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use stego::{BitsPerSample, FileName, Limits, MediaType};

use crate::cluster::{LeaderCommand, MemberCommand, SettingsCommand, Status};

/// Hide a file in an image, find it again, see what an image can carry; look at a cluster and set it up.
///
/// embed, extract, capacity and inspect work on local files and need no server; a file given as `-` is standard
/// input or output. status, leader, member and settings ask a cluster.
#[derive(Debug, Parser)]
#[command(name = "stegctl", version, about, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

const AFTER_HELP: &str = "\
Examples:
  stegctl embed secret.pdf --cover holiday.jpg -o holiday.png
  stegctl extract holiday.png
  tar c letters | stegctl embed - --name letters.tar -o out.png
  stegctl extract out.png -o - | tar x
  stegctl capacity holiday.jpg
  stegctl inspect out.png --json | jq .payload
  stegctl status --server http://172.20.10.2:8081,http://172.20.10.3:8082
  stegctl status --config config/cluster.yaml --check
  stegctl leader transfer n2
  stegctl settings set bits 2
  stegctl settings set note.motd 'back at noon' --operator alice
  stegctl settings list --output json | jq .settings

Exit status: 0 done; 1 a file cannot be read or written; 2 wrong usage; 3 the image is not one that can be \
read here, or damaged; 4 something is too large, or does not fit; 5 the image carries no payload; 6 it \
carries one that is damaged or of a newer release; 7 no server answers; 8 the cluster has no quorum; 9 a server \
refused what was asked; 10 with --check: a node is not healthy; 11 it is not known whether a change was made.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hide a file in a copy of an image.
    ///
    /// The result is a PNG that is read back before it is written. The file's name and media type are kept.
    Embed(Embed),
    /// Get the hidden file out of an image.
    ///
    /// Without --output it is written under its own name into the current folder.
    Extract(Extract),
    /// Say how many bytes fit into an image.
    Capacity(Look),
    /// Say what an image is and what it carries, without extracting it.
    ///
    /// Everything is checked, as in an extraction, but no file is written.
    Inspect(Look),
    /// Say how a cluster is: who leads, whether there is a quorum, and every node.
    Status(Status),
    /// Say which node leads a cluster.
    #[command(subcommand)]
    Leader(LeaderCommand),
    /// Look at the members of a cluster.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Look at the settings of a cluster and change them.
    #[command(subcommand)]
    Settings(SettingsCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Embed {
    /// The file to hide
    pub(crate) secret: PathBuf,
    /// Where the stego image goes
    #[arg(short, long, value_name = "PNG")]
    pub(crate) output: PathBuf,
    /// The image to hide it in: an 8-bit grey, RGB or RGBA PNG, or a JPEG [default: a built-in one, 1920×1080]
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) cover: Option<PathBuf>,
    /// Hide it in one of the built-in images instead, 0 to 49
    #[arg(long, value_name = "INDEX", conflicts_with = "cover", value_parser = clap::value_parser!(u32).range(0..i64::from(stego::DATASET_LEN)))]
    pub(crate) dataset: Option<u32>,
    /// Bits per sample, 1 to 4: more room, and more to be seen
    #[arg(short, long, value_name = "BITS", default_value = "1", value_parser = bits)]
    pub(crate) bits: BitsPerSample,
    /// Do not compress, even where that makes the file shorter
    #[arg(long)]
    pub(crate) no_compress: bool,
    /// File name to keep [default: the name of SECRET]
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    pub(crate) name: Option<FileName>,
    /// Media type to keep, such as application/pdf [default: by the name's extension]
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) media_type: Option<MediaType>,
    /// Overwrite the output if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The stego image
    pub(crate) image: PathBuf,
    /// Where the hidden file goes [default: its own name in the current folder, or secret.bin]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Overwrite the output if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    /// The image
    pub(crate) image: PathBuf,
    /// Print one JSON object instead of lines for people
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Pixels of an image, at most
    #[arg(long, global = true, value_name = "PIXELS", default_value_t = Limits::DEFAULT_MAX_PIXELS)]
    max_pixels: u64,
    /// Memory in bytes for working on an image, at most
    #[arg(long, global = true, value_name = "BYTES", default_value_t = Limits::DEFAULT_MAX_IMAGE_MEMORY_BYTES)]
    max_image_memory_bytes: u64,
    /// Length of a secret in bytes, at most
    #[arg(long, global = true, value_name = "BYTES", default_value_t = Limits::DEFAULT_MAX_SECRET_BYTES)]
    max_secret_bytes: u64,
}

impl LimitOptions {
    pub(crate) fn limits(self) -> Limits {
        Limits {
            max_pixels: self.max_pixels,
            max_image_memory_bytes: self.max_image_memory_bytes,
            max_secret_bytes: self.max_secret_bytes,
            ..Limits::default()
        }
    }
}

fn file_name(text: &str) -> Result<FileName, String> {
    FileName::from_path(text).ok_or_else(|| "this is not a file name".to_owned())
}

fn media_type(text: &str) -> Result<MediaType, String> {
    MediaType::parse(text).ok_or_else(|| "write type/subtype, such as application/pdf".to_owned())
}

fn bits(text: &str) -> Result<BitsPerSample, String> {
    let bits = text.parse().ok().and_then(BitsPerSample::new);
    bits.ok_or_else(|| "1, 2, 3 or 4 bits per sample can be used".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
