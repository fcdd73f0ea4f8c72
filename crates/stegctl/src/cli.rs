//! The command line.

use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use stego::{BitsPerSample, FileName, Limits, MediaType, MetadataPolicy};

use crate::cluster::{Console, LeaderCommand, MemberCommand, SettingsCommand, Status};
use crate::failure::STATUSES;
use crate::files::is_standard_stream;

/// Hide files in an image, find them again, see what an image can carry; look at a cluster and set it up.
///
/// embed, extract, capacity, inspect and compare work on local files and need no server; a file given as `-`
/// is standard input or output. status, leader, member, settings and console ask a cluster.
#[derive(Debug, Parser)]
#[command(name = "stegctl", version, about, after_help = after_help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

const EXAMPLES: &str = "\
Examples:
  stegctl passphrase
  stegctl embed secret.pdf --cover holiday.jpg -o holiday.png
  stegctl extract -p holiday.png
  stegctl embed letters photo.raw --passphrase-file key.txt --cover holiday.jpg -o holiday.png
  pg_dump shop | stegctl embed - --name shop.sql --key-file shop.key -o out.png
  stegctl extract --key-file shop.key out.png -o - | psql shop
  stegctl embed poster.pdf --open --cover holiday.jpg -o holiday.png
  stegctl capacity holiday.jpg
  stegctl inspect out.png --json | jq .payload
  stegctl compare holiday.jpg holiday.png --diff difference.png
  stegctl status --server http://172.20.10.2:8081,http://172.20.10.3:8082
  stegctl status --config config/cluster.yaml --check
  stegctl leader transfer n2
  stegctl settings set bits 2
  stegctl settings set note.motd 'back at noon' --operator alice
  stegctl settings list --output json | jq .settings";

fn after_help() -> String {
    let statuses = STATUSES.map(|(status, meaning)| format!("{status:>4}  {meaning}"));
    format!("{EXAMPLES}\n\nExit status:\n{}", statuses.join("\n"))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hide a file, or several files and folders, in a copy of an image
    ///
    /// One file is hidden as it is, and its name and media type are kept. Several, or a folder, are hidden as
    /// a tar archive, which extract unpacks again: names, permissions (rwx) and times of the last change are
    /// kept, owners are not. The result is a PNG that is read back before it is written.
    ///
    /// With a passphrase or a key file the secret is encrypted and spread over the whole image: nobody
    /// without the key can extract it, or see that there is one. The terminal is asked for a passphrase if no
    /// option gives a key. --open hides without one: whoever has the image can extract what is in it.
    #[command(verbatim_doc_comment)]
    Embed(Embed),
    /// Get the hidden files out of images
    ///
    /// What was hidden with a key is found with that key alone, what was hidden without one only without.
    /// Without --output a file is written under its own name into the current folder, and files and folders
    /// that were hidden together are restored there. Nothing is ever written outside of that folder, whatever
    /// the image says, and a name that begins with a dot or a hyphen, or is a device's on Windows, gets `_`
    /// before it. Of several images each is worked on; the exit status is that of the first failure.
    Extract(Extract),
    /// Say how many bytes fit into images
    Capacity(Look),
    /// Say what images are and what they carry, without extracting it
    ///
    /// Everything is checked, as in an extraction, but no file is written. For a file that cannot be read the
    /// known facts and the reason are printed. Of several images each is inspected; the exit status is that
    /// of the first failure.
    Inspect(Look),
    /// Measure how much two images of the same size differ
    ///
    /// For example a cover and the stego image made from it. The figures are of the colour samples (R, G, B
    /// or grey); alpha is compared on its own. The exit status is 0 for images that differ, too.
    Compare(Compare),
    /// Suggest a passphrase: words drawn at random, with their bits of entropy
    Passphrase(Passphrase),
    /// Make certificates, so that nodes serve HTTPS
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Show the status of a cluster: leader, quorum and every node
    Status(Status),
    /// Say which node leads a cluster
    #[command(subcommand)]
    Leader(LeaderCommand),
    /// Look at the members of a cluster
    #[command(subcommand)]
    Member(MemberCommand),
    /// Look at the settings of a cluster and change them
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Print the address of the web console, with the admin token in it
    ///
    /// Open it in a browser; the page takes the token out of the address bar. Whoever has the address may
    /// change the cluster.
    Console(Console),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(Completions),
    /// Print the manual page of a command, or write all of them
    #[command(after_help = MANUAL_EXAMPLES)]
    Man(Manual),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Embed {
    /// The files and folders to hide
    #[arg(required = true, value_name = "SECRET")]
    pub(crate) secrets: Vec<PathBuf>,
    /// Path of the stego image
    #[arg(short, long, value_name = "PNG", value_parser = output())]
    pub(crate) output: PathBuf,
    /// The image to hide it in [default: a built-in one, 1920×1080]
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) cover: Option<PathBuf>,
    /// Hide it in one of the built-in images instead, 0 to 49
    #[arg(long, value_name = "INDEX", conflicts_with = "cover", value_parser = clap::value_parser!(u32).range(0..i64::from(dataset::LEN)))]
    pub(crate) dataset: Option<u32>,
    /// Hide without a key: anyone with the image can extract the secret
    #[arg(long, conflicts_with_all = ["passphrase", "passphrase_file", "key_file"], help_heading = "Key")]
    pub(crate) open: bool,
    /// Bits per sample, 1 to 4: more bits give more capacity, and more visible changes; 1 with a key
    /// [default: 1]
    #[arg(short, long, value_name = "BITS", value_parser = bits)]
    pub(crate) bits: Option<BitsPerSample>,
    /// Do not compress, even where that makes the secret shorter
    #[arg(long)]
    pub(crate) no_compress: bool,
    /// Handling of the cover's metadata (EXIF, XMP, text, time) [default: keep, with a key strip]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) metadata: Option<Metadata>,
    /// Extent of the check of a PNG cover whose compressed data is mostly kept
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Verify::File)]
    pub(crate) verify: Verify,
    /// File name to keep [default: the name of SECRET; files.tar for several]
    #[arg(long, value_name = "NAME", value_parser = file_name)]
    pub(crate) name: Option<FileName>,
    /// Media type to keep, such as application/pdf [default: by the name's extension]
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    pub(crate) media_type: Option<MediaType>,
    /// Leave out links and special files in folders, instead of refusing
    #[arg(long)]
    pub(crate) skip_special: bool,
    /// Overwrite the output if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) secret: SecretOptions,
}

/// Options of commands that hide or extract a secret.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecretOptions {
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

/// Options that give a key. A passphrase on the command line is parsed in order to be refused with what to
/// do.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Key")]
pub(crate) struct Keys {
    /// Ask for a passphrase on the terminal
    #[arg(short, long, alias = "password", num_args = 0..=1, require_equals = true, value_name = "", hide_possible_values = true, conflicts_with = "passphrase_file")]
    passphrase: Option<Option<String>>,
    /// Read the passphrase from a file, or from standard input (-), without one final newline
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Use a file of 32 bytes to 16 MiB as the key; with a passphrase, both are needed to extract
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Keys {
    /// True if one of the options is given.
    pub(crate) fn is_given(&self) -> bool {
        self.passphrase.is_some() || self.passphrase_file.is_some() || self.key_file.is_some()
    }

    /// True for a passphrase on the command line.
    pub(crate) fn is_on_command_line(&self) -> bool {
        matches!(self.passphrase, Some(Some(_)))
    }

    /// True if the terminal is to be asked.
    pub(crate) fn asks(&self) -> bool {
        self.passphrase.is_some()
    }

    pub(crate) fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// True if a part of the key comes from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        [self.passphrase_file(), self.key_file()].into_iter().flatten().any(is_standard_stream)
    }
}

/// Extent of the check of a stego image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verify {
    /// The whole file; a cover that fails the check is encoded anew, or refused
    File,
    /// The rows with the secret
    Payload,
}

impl Verify {
    pub(crate) fn extent(self) -> stego::Verify {
        match self {
            Self::File => stego::Verify::File,
            Self::Payload => stego::Verify::Payload,
        }
    }
}

/// Handling of a cover's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metadata {
    /// Kept, except entries that would no longer be true
    Keep,
    /// Left out, except data that defines the colours
    Strip,
}

impl Metadata {
    pub(crate) fn policy(self) -> MetadataPolicy {
        match self {
            Self::Keep => MetadataPolicy::Keep,
            Self::Strip => MetadataPolicy::Strip,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// The stego images
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Output file, or folder for the hidden files [default: the current folder]
    ///
    /// An existing folder takes a file under the file's own name. For several images, and for files and
    /// folders that were hidden together, PATH is always a folder, which is made if it does not exist. `-` is
    /// standard output: the bytes as they were hidden, of files hidden together their tar archive.
    #[arg(short, long, value_name = "PATH", value_parser = output())]
    pub(crate) output: Option<PathBuf>,
    /// Unpack a tar archive that was hidden as a file, too
    #[arg(long)]
    pub(crate) unpack: bool,
    /// Write files that were hidden together as their tar archive
    #[arg(long, conflicts_with = "unpack")]
    pub(crate) no_unpack: bool,
    /// Replace files that exist, and add to folders that exist
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) secret: SecretOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// One image
    pub(crate) a: PathBuf,
    /// The other
    pub(crate) b: PathBuf,
    /// Write a picture of the differences, amplified so that they can be seen
    #[arg(long, value_name = "PNG", value_parser = output())]
    pub(crate) diff: Option<PathBuf>,
    /// Factor of the amplification [default: the largest that keeps every difference within white]
    #[arg(long, value_name = "TIMES", requires = "diff", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub(crate) amplify: Option<u32>,
    /// Overwrite the picture if it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

/// Options of a command's output.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ReportOptions {
    /// Print one line of JSON for each image, also for a failure, instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing on standard error but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl ReportOptions {
    /// True if standard error is for errors only.
    pub(crate) fn only_errors(self) -> bool {
        self.json || self.quiet
    }
}

#[derive(Debug, Args)]
pub(crate) struct Passphrase {
    /// Number of words, 4 to 24: 11 bits each
    #[arg(short, long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u8).range(4..=24))]
    pub(crate) words: u8,
    /// Print nothing on standard error but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a certificate signed by itself, for a first try
    ///
    /// One certificate serves all nodes whose addresses it names. Clients trust it by its file; a browser
    /// asks, or gets it imported.
    SelfSigned(SelfSigned),
}

#[derive(Debug, Args)]
pub(crate) struct SelfSigned {
    /// Addresses and host names of the nodes, as clients write them
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Folder for node.crt and node.key
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Replace files that exist
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  stegctl completions bash > ~/.local/share/bash-completion/completions/stegctl
  stegctl completions zsh > ~/.zfunc/_stegctl        # with fpath+=~/.zfunc in ~/.zshrc
  stegctl completions fish > ~/.config/fish/completions/stegctl.fish";

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// The command, such as embed or leader transfer [default: stegctl itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands into this folder, which is made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

const MANUAL_EXAMPLES: &str = "\
Examples:
  stegctl man embed | man -l -
  stegctl man --dir ~/.local/share/man/man1        # then: man stegctl-embed";

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

/// Parses an output path; the systems' names for standard output become `-`.
fn output() -> impl TypedValueParser<Value = PathBuf> {
    const STANDARD_OUTPUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    PathBufValueParser::new().map(|path| match STANDARD_OUTPUT.iter().any(|name| path == Path::new(name)) {
        true => PathBuf::from("-"),
        false => path,
    })
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
