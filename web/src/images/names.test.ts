import { expect, test } from 'vitest';

import { stegoName } from './names';

test.each([
  ['holiday.png', 'holiday-stego.png'],
  ['holiday.jpg', 'holiday-stego.png'],
  ['archive.tar.webp', 'archive.tar-stego.png'],
  ['holiday', 'holiday-stego.png'],
  ['.png', 'cover-stego.png'],
  ['holiday-stego.png', 'holiday-stego-2.png'],
  ['holiday-stego-2.png', 'holiday-stego-3.png'],
  [null, 'cover-stego.png'],
])('a stego image of the cover %s is saved as %s', (cover, name) => {
  expect(stegoName(cover)).toBe(name);
  expect(stegoName(cover)).not.toBe(cover);
});
