//! The control plane, as used by the handlers of one node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::ControlPlane;
use control_plane::catalog::{SettingKey, SettingValue};
use stego::{BitsPerSample, MetadataPolicy};
use tokio::sync::Semaphore;

use crate::config::{Config, StegoConfig};
use crate::in_flight::InFlight;

/// Maximum number of event streams.
const MAX_WATCHERS: usize = 64;
/// Maximum time to reach agreement.
const AGREE_WITHIN: Duration = Duration::from_secs(10);

/// Replicated state of the cluster, and bounds of calls on the state.
pub(crate) struct Control {
    /// The control plane.
    pub plane: ControlPlane,
    /// Idempotency keys of changes in flight on this node.
    pub in_flight: InFlight,
    /// Permits of event streams.
    pub watchers: Arc<Semaphore>,
    configured: StegoConfig,
    agree_within: Duration,
}

/// Defaults for options left out of an embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmbedDefaults {
    /// Bits carried per sample.
    pub bits: BitsPerSample,
    /// True if secrets are deflated.
    pub compress: bool,
    /// Treatment of a cover's metadata.
    pub metadata: MetadataPolicy,
}

impl Control {
    /// Wraps the control plane of a node under the validated `config`.
    pub(crate) fn new(plane: ControlPlane, config: &Config) -> Self {
        Self {
            plane,
            in_flight: InFlight::default(),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            configured: config.stego.clone(),
            agree_within: config.limits.request_timeout().min(AGREE_WITHIN),
        }
    }

    /// Returns the defaults of an embed: the cluster's settings as applied on this node, otherwise the
    /// configuration.
    pub(crate) fn embed_defaults(&self) -> EmbedDefaults {
        let set = |key| self.plane.local_setting(&key).map(|setting| setting.value);
        let bits = match set(SettingKey::Bits) {
            Some(SettingValue::Number(bits)) => BitsPerSample::new(bits),
            _ => None,
        };
        let configured = || BitsPerSample::new(self.configured.lsb_per_channel);
        EmbedDefaults {
            bits: bits.or_else(configured).expect("the configuration was checked"),
            compress: match set(SettingKey::Compress) {
                Some(SettingValue::Flag(compress)) => compress,
                _ => self.configured.compress,
            },
            metadata: match set(SettingKey::Metadata) {
                Some(SettingValue::Text(policy)) if policy == "strip" => MetadataPolicy::Strip,
                _ => MetadataPolicy::Keep,
            },
        }
    }

    /// Returns the deadline of an operator's call arriving now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.agree_within
    }
}
