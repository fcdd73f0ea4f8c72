//! Decoded images, and the bits a payload may change in them.

use stego::{BitsPerSample, Channels, Cover, HEADER_LEN_BYTES, SampleDepth};

/// A decoded image: row-major samples of 8 bits, or of 16 bits with the most significant byte first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
    /// The channels of a pixel.
    pub channels: Channels,
    /// The samples' depth.
    pub depth: SampleDepth,
    /// The samples.
    pub samples: Vec<u8>,
}

impl Pixels {
    /// Copies the pixels of a decoded cover.
    pub fn of(cover: &Cover) -> Self {
        Self {
            width: cover.width(),
            height: cover.height(),
            channels: cover.channels(),
            depth: cover.depth(),
            samples: cover.samples().to_vec(),
        }
    }

    /// Returns the samples as numbers.
    pub fn values(&self) -> Vec<u16> {
        match self.depth {
            SampleDepth::Eight => self.samples.iter().map(|&sample| u16::from(sample)).collect(),
            SampleDepth::Sixteen => {
                let (pairs, _) = self.samples.as_chunks::<2>();
                pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
            }
        }
    }

    /// Asserts that two images are equal.
    ///
    /// # Panics
    ///
    /// If the images differ; the message describes the difference without printing all samples.
    pub fn assert_same(&self, name: &str, other: &Self) {
        let kind = |pixels: &Self| (pixels.width, pixels.height, pixels.channels, pixels.depth);
        assert_eq!(kind(self), kind(other), "{name}");
        let (left, right) = (self.values(), other.values());
        assert_eq!(left.len(), right.len(), "{name}: number of samples");
        if let Some(at) = left.iter().zip(&right).position(|(left, right)| left != right) {
            let (x, y, sample) = self.place(at);
            panic!(
                "{name}: {} and not {} in column {x}, row {y}, sample {sample}; {} of {} samples differ",
                left[at],
                right[at],
                left.iter().zip(&right).filter(|(left, right)| left != right).count(),
                left.len()
            );
        }
    }

    /// Returns column, row and channel of a sample.
    fn place(&self, at: usize) -> (usize, usize, usize) {
        let pixel = at / self.channels.count();
        (pixel % self.width as usize, pixel / self.width as usize, at % self.channels.count())
    }

    /// Returns the mask of the bits of each sample taken by a payload of `payload_bytes` at `bits` per
    /// sample, by `docs/format.md`, section "Carrier `sequential`"; all zero where there is too little room.
    pub fn carried_bits(&self, payload_bytes: u64, bits: BitsPerSample) -> Vec<u16> {
        let width = u64::from(bits.as_u8());
        let mut header_left = HEADER_LEN_BYTES as u64 * 8;
        let mut rest_left = payload_bytes * 8 - header_left;
        let mut masks = Vec::new();
        for pixel in self.values().chunks(self.channels.count()) {
            let colours = self.channels.colour_count();
            let visible = pixel[colours..].iter().all(|&alpha| alpha != 0);
            for at in 0..pixel.len() {
                let takes = if at >= colours || !visible {
                    0
                } else if header_left > 0 {
                    header_left -= 1;
                    1
                } else {
                    let taken = width.min(rest_left);
                    rest_left -= taken;
                    // The last sample takes its bits at the top of its low bits.
                    ((1 << taken) - 1) << (width - taken)
                };
                masks.push(takes);
            }
        }
        assert_eq!((header_left, rest_left), (0, 0), "the image has no room for this payload");
        masks
    }

    /// Asserts that `stego` equals this image except for the bits of a payload, and that the payload starts
    /// with the container's magic.
    ///
    /// # Panics
    ///
    /// If another bit differs, or the container's magic is missing.
    pub fn assert_carries(&self, name: &str, stego: &Self, payload_bytes: u64, bits: BitsPerSample) {
        let masks = self.carried_bits(payload_bytes, bits);
        let without_payload = |pixels: &Self| {
            let values = pixels.values().into_iter().zip(&masks).map(|(value, mask)| value & !mask);
            Self {
                depth: SampleDepth::Sixteen,
                samples: values.flat_map(u16::to_be_bytes).collect(),
                ..pixels.clone()
            }
        };
        assert_eq!(self.depth, stego.depth, "{name}");
        without_payload(stego).assert_same(name, &without_payload(self));

        let low_bits = stego.values().into_iter().zip(&masks).filter(|(_, mask)| **mask != 0);
        let magic: Vec<u8> = low_bits.map(|(value, _)| (value & 1) as u8).take(24).collect();
        let magic: Vec<u8> =
            magic.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect();
        assert_eq!(magic, b"STG", "{name}: the payload is not where the format says");
    }
}
