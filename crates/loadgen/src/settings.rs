//! Settings of a run: flags over the configuration file over the defaults, checked.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use client::{AnswerForm, Client, ClientBuilder, Endpoint, Upload};

use crate::config_file::ConfigFile;
use crate::flag_values::{AnswerArg, Output};
use crate::load_args::LoadArgs;
use crate::plan::{Mode, Plan};
use crate::secrets::Secrets;
use crate::verify::Verify;

const DEFAULT_SERVER: &str = "http://127.0.0.1:8081";
pub(crate) const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const DEFAULT_MAX_RETRIES: u32 = 2;
/// Largest cover that is read: more than any image within the pixel limit of a node.
const MAX_COVER_LEN_BYTES: u64 = 512 * 1024 * 1024;

/// Settings of a run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) plan: Plan,
    pub(crate) secrets: Secrets,
    pub(crate) cover: Option<Upload>,
    pub(crate) bits: Option<u8>,
    pub(crate) answer: AnswerForm,
    pub(crate) verify: Verify,
    pub(crate) servers: Vec<Endpoint>,
    /// Certificates to trust, PEM.
    pub(crate) ca_cert: Option<Vec<u8>>,
    pub(crate) request_timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) output: Output,
    pub(crate) progress: bool,
}

impl Settings {
    /// Reads the files named by the flags and merges flags, file and defaults.
    ///
    /// # Errors
    /// If a file cannot be read or used, or a value is out of range.
    pub(crate) fn resolve(args: &LoadArgs) -> anyhow::Result<Self> {
        let file = match &args.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let cover = args.cover.as_deref().map(read_cover).transpose()?;
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read the certificates in {}", path.display()))
        };
        let ca_cert = args.ca_cert.as_deref().map(read).transpose()?;
        Ok(Self { ca_cert, ..Self::merge(args, &file, cover)? })
    }

    /// Returns a builder for a client of the servers, with the certificates to trust.
    ///
    /// # Errors
    /// If the certificates cannot be used.
    pub(crate) fn client(&self) -> anyhow::Result<ClientBuilder> {
        let builder = Client::builder(self.servers.clone());
        Ok(match &self.ca_cert {
            Some(pem) => builder.ca_certificates_pem(pem).context("cannot use --ca-cert")?,
            None => builder,
        })
    }

    fn merge(args: &LoadArgs, file: &ConfigFile, cover: Option<Upload>) -> anyhow::Result<Self> {
        let servers = match args.server_list.clone().or_else(|| file.server_list()) {
            Some(servers) => servers,
            None => vec![DEFAULT_SERVER.parse()?],
        };
        let flag_or_file = args.request_timeout_ms.or(file.loadgen.request_timeout_ms);
        let request_timeout = flag_or_file.map_or(DEFAULT_REQUEST_TIMEOUT, Duration::from_millis);
        ensure!(!request_timeout.is_zero(), "request_timeout_ms must be more than zero");
        Ok(Self {
            mode: args.mode,
            plan: args.plan(),
            secrets: Secrets::new(args.seed, args.secret_bytes as usize),
            cover,
            bits: args.bits,
            answer: match args.answer {
                AnswerArg::Png => AnswerForm::Binary,
                AnswerArg::Json => AnswerForm::Json,
            },
            verify: args.verify,
            servers,
            ca_cert: None,
            request_timeout,
            max_retries: args.max_retries.or(file.loadgen.max_retries).unwrap_or(DEFAULT_MAX_RETRIES),
            output: args.output,
            progress: !args.no_progress,
        })
    }
}

fn read_cover(path: &Path) -> anyhow::Result<Upload> {
    let read = || -> anyhow::Result<Upload> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_COVER_LEN_BYTES + 1).read_to_end(&mut bytes)?;
        ensure!(!bytes.is_empty(), "the file is empty");
        ensure!(
            bytes.len() as u64 <= MAX_COVER_LEN_BYTES,
            "the file is larger than {MAX_COVER_LEN_BYTES} bytes"
        );
        let upload = Upload::new(bytes);
        Ok(match path.file_name() {
            Some(name) => upload.name(name.to_string_lossy()),
            None => upload,
        })
    };
    read().with_context(|| format!("cannot use the cover {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    const FILE: &str = "
nodes: [{ ip: 10.0.0.1, http_port: 8081 }]
loadgen: { request_timeout_ms: 4000, max_retries: 3 }
";

    #[test]
    fn flags_beat_the_file_and_the_file_beats_the_defaults() {
        let check = |args: &[&str], file: &str, server: &str, timeout_ms: u128, max_retries: u32| {
            let cli = Cli::try_parse_from([&["loadgen"], args].concat()).unwrap();
            let file: ConfigFile = serde_saphyr::from_str(file).unwrap();
            let settings = Settings::merge(&cli.load, &file, None).unwrap();
            let servers: Vec<_> = settings.servers.iter().map(Endpoint::to_string).collect();
            assert_eq!(servers, [server]);
            assert_eq!(settings.request_timeout.as_millis(), timeout_ms);
            assert_eq!(settings.max_retries, max_retries);
        };
        check(&[], "{}", "http://127.0.0.1:8081", 5000, 2);
        check(&[], FILE, "http://10.0.0.1:8081", 4000, 3);
        check(&["--server-list", "http://b"], FILE, "http://b", 4000, 3);
        check(&["--request-timeout-ms", "9", "--max-retries", "0"], FILE, "http://10.0.0.1:8081", 9, 0);
        check(&[], "loadgen: { max_retries: 1 }", "http://127.0.0.1:8081", 5000, 1);
    }

    #[test]
    fn a_timeout_of_zero_is_refused() {
        let cli = Cli::try_parse_from(["loadgen"]).unwrap();
        let file: ConfigFile = serde_saphyr::from_str("loadgen: { request_timeout_ms: 0 }").unwrap();
        assert!(Settings::merge(&cli.load, &file, None).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        for flag in ["--config", "--cover"] {
            let cli = Cli::try_parse_from(["loadgen", flag, "/nowhere/file"]).unwrap();
            let error = format!("{:#}", Settings::resolve(&cli.load).unwrap_err());
            assert!(error.contains("/nowhere/file"), "{error}");
        }
    }

    #[test]
    fn the_default_server_is_the_first_node_of_a_local_cluster() {
        let address: std::net::SocketAddr = DEFAULT_SERVER.strip_prefix("http://").unwrap().parse().unwrap();
        assert_eq!(address.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
