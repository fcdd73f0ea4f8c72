import { expect, test } from 'vitest';

import { fold, type Drawn } from './difference';

test('a single pixel that differs is seen however small the picture is drawn', () => {
  const [width, height, block] = [10, 7, 4];
  const rows = new Uint8ClampedArray(width * height * 4);
  rows.set([0, 255, 0, 255], (5 * width + 9) * 4);
  const drawn: Drawn = { width: 3, height: 2, pixels: new Uint8ClampedArray(3 * 2 * 4) };
  // As it comes: in strips.
  fold(rows.subarray(0, 3 * width * 4), width, 0, block, drawn);
  fold(rows.subarray(3 * width * 4), width, 3, block, drawn);
  const green = Array.from({ length: 6 }, (_, i) => drawn.pixels[i * 4 + 1]);
  expect(green).toEqual([0, 0, 0, 0, 0, 255]);
});
