import { deflateSync } from 'node:zlib';
import { expect, test } from 'vitest';

import { capacityBytes, readShape } from './shape';

/** A chunk, with a checksum that nobody looks at. */
function chunk(type: string, data: number[]): number[] {
  const length = [24, 16, 8, 0].map((shift) => (data.length >> shift) & 255);
  return [...length, ...Buffer.from(type, 'latin1'), ...data, 0, 0, 0, 0];
}

function png(colourType: number, ...more: number[][]): Uint8Array {
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  const header = [0, 0, 7, 128, 0, 0, 4, 56, 8, colourType, 0, 0, 0];
  const pixels = chunk('IDAT', [...deflateSync(Buffer.alloc(10))]);
  return new Uint8Array([...signature, ...chunk('IHDR', header), ...more.flat(), ...pixels]);
}

test('a PNG tells its size and which samples carry', () => {
  const check = (colourType: number, colours: number, mayHaveAlpha: boolean, ...more: number[][]) =>
    expect(readShape(png(colourType, ...more))).toMatchObject({ width: 1920, height: 1080, colours, mayHaveAlpha });
  check(0, 1, false);
  check(2, 3, false);
  check(3, 3, false);
  check(4, 1, true);
  check(6, 3, true);
  check(3, 3, true, chunk('PLTE', [1, 2, 3]), chunk('tRNS', [0]));
  check(2, 3, false, chunk('tEXt', [65, 0, 66]));
});

test('a JPEG tells its size in its frame, behind whatever comes before it', () => {
  const exif = [0xff, 0xe1, 0, 6, 1, 2, 3, 4];
  const frame = (components: number) => [0xff, 0xc2, 0, 17, 8, 0x0e, 0x40, 0x15, 0x60, components];
  const jpeg = (components: number) => new Uint8Array([0xff, 0xd8, ...exif, 0xff, ...frame(components), 0, 0]);
  expect(readShape(jpeg(3))).toMatchObject({ format: 'JPEG', width: 5472, height: 3648, colours: 3 });
  expect(readShape(jpeg(1))).toMatchObject({ colours: 1 });
});

test('what is cut off or something else has no shape', () => {
  const whole = png(2);
  for (let length = 0; length < 26; length += 1) expect(readShape(whole.subarray(0, length))).toBeNull();
  expect(readShape(new Uint8Array([0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]))).toBeNull();
  expect(readShape(new TextEncoder().encode('<svg/>'))).toBeNull();
});

test('capacity of the default cover is what the API says of it', () => {
  // The figure of docs/errors.md.
  expect(capacityBytes(1920 * 1080, 3, 1)).toBe(777_572);
  expect(capacityBytes(10, 3, 1)).toBe(0);
});
