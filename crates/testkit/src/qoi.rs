//! QOI files, by the specification (qoiformat.org, version 1.0).

use stego::{Channels, SampleDepth};

use crate::pixels::Pixels;

/// Encodes the image as a QOI file, with every kind of chunk in use.
///
/// # Panics
///
/// If the image is not RGB or RGBA of 8 bits, the only kinds of QOI.
pub fn qoi_file(pixels: &Pixels) -> Vec<u8> {
    let with_alpha = match pixels.channels {
        Channels::Rgb => false,
        Channels::Rgba => true,
        other => panic!("QOI has no {other:?}"),
    };
    assert_eq!(pixels.depth, SampleDepth::Eight, "QOI has 8 bits per sample");
    let mut file = b"qoif".to_vec();
    file.extend([pixels.width.to_be_bytes(), pixels.height.to_be_bytes()].concat());
    file.extend([pixels.channels.count() as u8, 0]);

    let (mut seen, mut previous, mut run) = ([[0; 4]; 64], [0, 0, 0, 255], 0_u8);
    for pixel in pixels.samples.chunks(pixels.channels.count()) {
        let pixel = [pixel[0], pixel[1], pixel[2], if with_alpha { pixel[3] } else { 255 }];
        if pixel == previous {
            run += 1;
            if run == 62 {
                file.push(0xC0 | (run - 1));
                run = 0;
            }
            continue;
        }
        if run > 0 {
            file.push(0xC0 | (run - 1));
            run = 0;
        }
        let place = hash(pixel);
        if seen[place] == pixel {
            file.push(place as u8);
        } else {
            seen[place] = pixel;
            write_pixel(&mut file, pixel, previous);
        }
        previous = pixel;
    }
    if run > 0 {
        file.push(0xC0 | (run - 1));
    }
    file.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    file
}

fn hash([r, g, b, alpha]: [u8; 4]) -> usize {
    (usize::from(r) * 3 + usize::from(g) * 5 + usize::from(b) * 7 + usize::from(alpha) * 11) % 64
}

/// Writes a pixel as a small difference from the previous pixel, or in full.
fn write_pixel(file: &mut Vec<u8>, pixel: [u8; 4], previous: [u8; 4]) {
    if pixel[3] != previous[3] {
        file.push(0xFF);
        file.extend(pixel);
        return;
    }
    let [red, green, blue] = [0, 1, 2].map(|i| i16::from(pixel[i].wrapping_sub(previous[i]) as i8));
    let small = |difference: i16| (-2..2).contains(&difference);
    let (red_to_green, blue_to_green) = (red - green, blue - green);
    if small(red) && small(green) && small(blue) {
        file.push(0x40 | ((red + 2) << 4 | (green + 2) << 2 | (blue + 2)) as u8);
    } else if (-32..32).contains(&green)
        && (-8..8).contains(&red_to_green)
        && (-8..8).contains(&blue_to_green)
    {
        file.push(0x80 | (green + 32) as u8);
        file.push(((red_to_green + 8) << 4 | (blue_to_green + 8)) as u8);
    } else {
        file.push(0xFE);
        file.extend(&pixel[..3]);
    }
}
