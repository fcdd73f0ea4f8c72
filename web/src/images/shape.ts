/**
 * What an image file can carry, told from its header alone: `docs/format.md`, section on the carrier. Where the header does not
 * say it (pixels that cannot be seen carry nothing), a node has to look.
 */

/** Bytes of the container's header, which rides at one bit per sample whatever the rest does. */
const HEADER_LEN_BYTES = 28;
/** What is read of a file to find its header. */
export const HEAD_BYTES = 256 << 10;

export interface Shape {
  format: string;
  width: number;
  height: number;
  /** Samples of a pixel that carry: 3 of a colour image, 1 of a grey one. */
  colours: 1 | 3;
  /** Whether some of its pixels may be invisible, so that it may carry less. */
  mayHaveAlpha: boolean;
}

const SEALED_TAG_BYTES = 16;
const SEALED_FIELDS_BYTES = 12;

/** The longest secret, in bytes, that fits at so many bits per sample if it does not compress and goes without a name. */
export function capacityBytes(pixels: number, colours: number, bits: number): number {
  return Math.floor((Math.max(pixels * colours - HEADER_LEN_BYTES * 8, 0) * bits) / 8);
}

/** The same with a key: `docs/format.md`, "Carrier scattered". A picture in shades of grey only carries a third of it. */
export function keyedCapacityBytes(pixels: number, colours: number): number {
  const samples = pixels * colours;
  const share = Math.min(Math.floor(samples / 16), 65_536);
  const rest = samples - Math.max(share, 12_800) - Math.max(share, 32_000);
  return Math.max(Math.floor(rest / 8) - SEALED_TAG_BYTES - SEALED_FIELDS_BYTES, 0);
}

/** Reads the header of a PNG or a JPEG; null for anything else and for what is not whole. */
export function readShape(head: Uint8Array): Shape | null {
  try {
    return readPng(head) ?? readJpeg(head);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GREY = 0;
const PALETTE = 3;
const ALPHA_BIT = 4;

/** PNG, third edition, sections 5.2 and 11.2.1. A `tRNS` chunk makes pixels invisible, too; it stands before the pixels. */
function readPng(head: Uint8Array): Shape | null {
  if (!PNG_SIGNATURE.every((byte, i) => head[i] === byte)) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const colourType = view.getUint8(25);
  let hasTransparency = (colourType & ALPHA_BIT) !== 0;
  for (let at = 8; !hasTransparency && at + 8 <= head.length; ) {
    const type = String.fromCharCode(...head.subarray(at + 4, at + 8));
    if (type === 'IDAT') break;
    hasTransparency = type === 'tRNS';
    at += 12 + view.getUint32(at);
  }
  const isGrey = colourType === GREY || colourType === (GREY | ALPHA_BIT);
  return {
    format: colourType === PALETTE ? 'PNG with a palette' : 'PNG',
    width: view.getUint32(16),
    height: view.getUint32(20),
    colours: isGrey ? 1 : 3,
    mayHaveAlpha: hasTransparency,
  };
}

/** Start-of-frame markers are C0 to CF, but for C4, C8 and CC (ITU-T T.81, table B.1). */
function readJpeg(head: Uint8Array): Shape | null {
  if (head[0] !== 0xff || head[1] !== 0xd8) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      return {
        format: 'JPEG',
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        colours: view.getUint8(at + 9) === 1 ? 1 : 3,
        mayHaveAlpha: false,
      };
    }
    at += 2 + view.getUint16(at + 2);
  }
}
