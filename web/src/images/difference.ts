/** The picture of what differs between a cover and its stego image, drawn so that single samples can be seen. */

/** Pixels of the drawn picture in a row, at most. */
export const MAX_WIDTH = 1600;
/** Rows of the picture that are looked at at a time: a picture of 20 megapixels would take 80 MB at once. */
const STRIP_ROWS = 256;

export interface Drawn {
  width: number;
  height: number;
  /** RGBA. Of each block of pixels the brightest sample of each colour: a mean would make single pixels vanish. */
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** Folds rows of RGBA pixels into `into`, which has one pixel for each block of `block` × `block`. */
export function fold(rows: Uint8ClampedArray, width: number, firstRow: number, block: number, into: Drawn): void {
  for (let i = 0; i < rows.length; i += 4) {
    const pixel = i / 4;
    const x = Math.floor((pixel % width) / block);
    const y = Math.floor((firstRow + Math.floor(pixel / width)) / block);
    const at = (y * into.width + x) * 4;
    for (let colour = 0; colour < 3; colour += 1) {
      const value = rows[i + colour] ?? 0;
      if (value > (into.pixels[at + colour] ?? 0)) into.pixels[at + colour] = value;
    }
    into.pixels[at + 3] = 255;
  }
}

/** Reads the picture, at most [`MAX_WIDTH`] pixels wide. */
export async function readDifference(picture: Blob): Promise<Drawn> {
  const image = await createImageBitmap(picture, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  const block = Math.ceil(image.width / MAX_WIDTH);
  const [width, height] = [Math.ceil(image.width / block), Math.ceil(image.height / block)];
  const drawn: Drawn = { width, height, pixels: new Uint8ClampedArray(width * height * 4) };
  const canvas = new OffscreenCanvas(image.width, STRIP_ROWS);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser has no canvas to draw on');
  for (let row = 0; row < image.height; row += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, image.height - row);
    context.drawImage(image, 0, row, image.width, rows, 0, 0, image.width, rows);
    fold(context.getImageData(0, 0, image.width, rows).data, image.width, row, block, drawn);
    // The page stays alive meanwhile.
    await new Promise((resolve) => setTimeout(resolve));
  }
  image.close();
  return drawn;
}

/** The same, as bright as if each difference were `times` what it is; it comes amplified by `from`. */
export function amplified({ width, height, pixels }: Drawn, from: number, times: number): ImageData {
  const scaled = pixels.map((value, i) => (i % 4 === 3 ? 255 : Math.round((value * times) / from)));
  return new ImageData(scaled, width, height);
}
