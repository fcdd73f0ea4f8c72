/** What is hidden, and where: made anew for each run. */

import { COVERS } from './plan';

/** As much as browsers give at once. */
const MOST_RANDOM_BYTES = 65_536;

/** Random bytes: they do not compress, so that a secret of a length costs the same each time. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let from = 0; from < length; from += MOST_RANDOM_BYTES) {
    crypto.getRandomValues(bytes.subarray(from, from + MOST_RANDOM_BYTES));
  }
  return bytes;
}

/** A picture of noise around soft colours: a PNG that is neither trivial to read nor to write. */
export async function smallCover(): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height } = COVERS.small;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser cannot draw the small cover; take the default one');
  const noise = randomBytes(width * height * 3);
  const pixels = context.createImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    const soft = [x / width, y / height, 1 - x / width];
    for (const [channel, share] of soft.entries()) {
      pixels.data[pixel * 4 + channel] = 64 + share * 96 + (noise[pixel * 3 + channel] ?? 0) / 4;
    }
    pixels.data[pixel * 4 + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  const png = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!png) throw new Error('this browser cannot write a PNG; take the default cover');
  return new Uint8Array(await png.arrayBuffer());
}
