import { expect, test } from 'vitest';

import { fillOf } from './fill';

test.each([
  [0, 100, 'empty'],
  [1, 100, 'fits'],
  [90, 100, 'fits'],
  [91, 100, 'nearly full'],
  [100, 100, 'nearly full'],
  [101, 100, 'too full'],
  [1, 0, 'too full'],
  [0, 0, 'empty'],
])('%i bytes in room for %i: %s', (needed, room, fill) => {
  expect(fillOf(needed, room)).toBe(fill);
});
