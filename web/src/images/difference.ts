/** The picture of what differs between a cover and its stego image, drawn so that single samples can be seen. */

/** Pixels of the drawn picture in a row, at most. */
export const MAX_WIDTH = 1600;
/** Rows of the picture that are looked at at a time: a picture of 20 megapixels would take 80 MB at once. */
const STRIP_ROWS = 256;
/** Rows that are drawn alone, at most: of more, the whole picture shows them. */
const MAX_ROWS = 1200;

export interface Drawn {
  width: number;
  height: number;
  /** RGBA. Of each block of pixels the brightest sample of each colour: a mean would make single pixels vanish. */
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

/** How many pixels of the picture, in a row and one above the other, are drawn as one. */
export interface Block {
  width: number;
  height: number;
}

/** Rows of a picture, from `first` up to and without `end`. */
export interface RowRange {
  first: number;
  end: number;
}

export interface Difference {
  whole: Drawn;
  /** The rows in which something differs, none above or below them; null where nothing does. */
  rows: RowRange | null;
  /** Those rows alone, each of them drawn. */
  part: Drawn | null;
}

/** Pixels of RGBA in rows, and which row of the picture the first of them is. */
interface Strip {
  pixels: Uint8ClampedArray;
  width: number;
  firstRow: number;
}

/** Folds pixels into `into`, which has one pixel for each block. */
export function fold({ pixels, width, firstRow }: Strip, block: Block, into: Drawn): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const pixel = i / 4;
    const x = Math.floor((pixel % width) / block.width);
    const y = Math.floor((firstRow + Math.floor(pixel / width)) / block.height);
    const at = (y * into.width + x) * 4;
    for (let colour = 0; colour < 3; colour += 1) {
      const value = pixels[i + colour] ?? 0;
      if (value > (into.pixels[at + colour] ?? 0)) into.pixels[at + colour] = value;
    }
    into.pixels[at + 3] = 255;
  }
}

/** The rows of which a pixel is not black, together with those that are known. */
export function withRows(known: RowRange | null, { pixels, width, firstRow }: Strip): RowRange | null {
  const isLit = (value: number, i: number) => i % 4 !== 3 && value > 0;
  const first = pixels.findIndex(isLit);
  if (first < 0) return known;
  const last = pixels.findLastIndex(isLit);
  const rowOf = (sample: number) => firstRow + Math.floor(sample / 4 / width);
  return { first: Math.min(known?.first ?? Infinity, rowOf(first)), end: Math.max(known?.end ?? 0, rowOf(last) + 1) };
}

function blank(width: number, height: number): Drawn {
  return { width, height, pixels: new Uint8ClampedArray(width * height * 4) };
}

/** Goes through rows of an image, strip by strip; the page stays alive meanwhile. */
async function eachStrip(image: ImageBitmap, { first, end }: RowRange, look: (strip: Strip) => void): Promise<void> {
  const { width } = image;
  const context = new OffscreenCanvas(width, STRIP_ROWS).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser has no canvas to draw on');
  for (let firstRow = first; firstRow < end; firstRow += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, end - firstRow);
    context.drawImage(image, 0, firstRow, width, rows, 0, 0, width, rows);
    look({ pixels: context.getImageData(0, 0, width, rows).data, width, firstRow });
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Reads the picture, drawn at most [`MAX_WIDTH`] pixels wide. */
export async function readDifference(picture: Blob): Promise<Difference> {
  const image = await createImageBitmap(picture, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  const size = Math.ceil(image.width / MAX_WIDTH);
  const width = Math.ceil(image.width / size);
  const whole = blank(width, Math.ceil(image.height / size));
  let rows: RowRange | null = null;
  await eachStrip(image, { first: 0, end: image.height }, (strip) => {
    fold(strip, { width: size, height: size }, whole);
    rows = withRows(rows, strip);
  });
  const part = await drawRows(image, rows, { width: size, height: 1 });
  image.close();
  return { whole, rows, part };
}

async function drawRows(image: ImageBitmap, rows: RowRange | null, block: Block): Promise<Drawn | null> {
  if (!rows || rows.end - rows.first > MAX_ROWS) return null;
  const part = blank(Math.ceil(image.width / block.width), rows.end - rows.first);
  await eachStrip(image, rows, (strip) => {
    fold({ ...strip, firstRow: strip.firstRow - rows.first }, block, part);
  });
  return part;
}

/** The same, as bright as if each difference were `times` what it is; it comes amplified by `from`. */
export function amplified({ width, height, pixels }: Drawn, from: number, times: number): ImageData {
  const scaled = pixels.map((value, i) => (i % 4 === 3 ? 255 : Math.round((value * times) / from)));
  return new ImageData(scaled, width, height);
}
