//! Costs of changes all over an image, for measurements.

use super::adaptive;
use super::bits::Bits;
use super::eligible::Eligible;
use super::hill;
use super::layout::Layout;
use crate::codec::cover::Cover;
use crate::coding::payload_limited::{Class, Sending, send};
use crate::key::DerivedKey;
use crate::watch::Watch;

/// Costs of changes of the eligible samples of an image without alpha, by [`crate::Mode::Adaptive`], and what
/// the optimal sender of a payload would change there. Embeds keep no such map; measurements do.
#[derive(Debug)]
pub struct CostMap {
    cover: Cover,
    layout: Layout,
    costs: Vec<f64>,
    /// True for the samples at an end of their range.
    one_way: Vec<bool>,
}

impl CostMap {
    /// Computes the costs of a cover of 8 bits.
    pub fn of(cover: &Cover) -> Self {
        let layout = Eligible::of(cover).layout;
        let carrying = layout.carrying_len;
        let pixels = cover.samples().chunks_exact(layout.pixel_len);
        let samples = pixels.flat_map(|pixel| pixel.get(..carrying).unwrap_or_default());
        let one_way = samples.map(|&sample| sample == 0 || sample == u8::MAX).collect();
        let mut costs = Vec::new();
        let each = |_: usize, sums: &[u32]| {
            costs.extend(sums.iter().map(|&sum| hill::cost(hill::class_of(sum))));
        };
        hill::rows(cover, layout, &Watch::default(), each).expect("the watch stops nothing");
        Self { cover: cover.clone(), layout, costs, one_way }
    }

    /// Returns the sum of the costs of the changes between the cover and `samples`.
    pub fn distortion(&self, samples: &[u8]) -> f64 {
        self.changed(samples).zip(&self.costs).filter(|(changed, _)| *changed).map(|(_, cost)| cost).sum()
    }

    /// Returns the expected distortion of the optimal sender of `bits` in the whole image.
    pub fn optimal_distortion(&self, bits: f64) -> f64 {
        self.send(bits, |_| true).distortion
    }

    /// Returns the distortion of a body of `bits` in `samples`, embedded with `key`, divided by that of the
    /// optimal sender in the same carrying samples: the loss of the code.
    pub fn body_ratio(&self, samples: &[u8], key: &DerivedKey, bits: usize) -> f64 {
        let carrying: Bits = adaptive::carrying_samples(&self.cover, key, bits);
        let costs = self.costs.iter().zip(self.changed(samples)).enumerate();
        let changed = costs.filter(|(i, (_, changed))| *changed && carrying.at(*i));
        let distortion: f64 = changed.map(|(_, (cost, _))| cost).sum();
        distortion / self.send(bits as f64, |i| carrying.at(i)).distortion
    }

    fn changed<'a>(&'a self, samples: &'a [u8]) -> impl Iterator<Item = bool> + 'a {
        let Layout { pixel_len, carrying_len, .. } = self.layout;
        let pixels = samples.chunks_exact(pixel_len).zip(self.cover.samples().chunks_exact(pixel_len));
        pixels.flat_map(move |(a, b)| a.iter().zip(b).take(carrying_len).map(|(a, b)| a != b))
    }

    fn send(&self, bits: f64, among: impl Fn(usize) -> bool) -> Sending {
        let chosen = self.costs.iter().zip(&self.one_way).enumerate().filter(|(i, _)| among(*i));
        let mut chosen: Vec<(f64, bool)> = chosen.map(|(_, (&cost, &one_way))| (cost, one_way)).collect();
        chosen.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let classes = chosen.chunk_by(|a, b| a.0 == b.0).map(|class| {
            let one_way = class.iter().filter(|(_, one_way)| *one_way).count() as u64;
            Class { cost: class[0].0, both_ways: class.len() as u64 - one_way, one_way }
        });
        send(&classes.collect::<Vec<_>>(), bits)
    }
}
