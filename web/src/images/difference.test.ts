import { expect, test } from 'vitest';

import { fold, withRows, type Drawn } from './difference';

test('a single pixel that differs is seen however small the picture is drawn', () => {
  const [width, height] = [10, 7];
  const pixels = new Uint8ClampedArray(width * height * 4);
  pixels.set([0, 255, 0, 255], (5 * width + 9) * 4);
  const drawn: Drawn = { width: 3, height: 2, pixels: new Uint8ClampedArray(3 * 2 * 4) };
  const block = { width: 4, height: 4 };
  // As it comes: in strips.
  fold({ pixels: pixels.subarray(0, 3 * width * 4), width, firstRow: 0 }, block, drawn);
  fold({ pixels: pixels.subarray(3 * width * 4), width, firstRow: 3 }, block, drawn);
  const green = Array.from({ length: 6 }, (_, i) => drawn.pixels[i * 4 + 1]);
  expect(green).toEqual([0, 0, 0, 0, 0, 255]);
});

test('the rows that differ are found, across strips; alpha is no difference', () => {
  const width = 3;
  const strip = (firstRow: number, ...lit: number[]) => {
    const pixels = new Uint8ClampedArray(width * 4 * 4);
    for (let i = 3; i < pixels.length; i += 4) pixels[i] = 255;
    for (const row of lit) pixels[(row * width + 2) * 4] = 1;
    return { pixels, width, firstRow };
  };
  expect(withRows(null, strip(0))).toBeNull();
  expect(withRows(null, strip(0, 1, 3))).toEqual({ first: 1, end: 4 });
  expect(withRows({ first: 1, end: 4 }, strip(4, 2))).toEqual({ first: 1, end: 7 });
  expect(withRows({ first: 1, end: 4 }, strip(4))).toEqual({ first: 1, end: 4 });
});
