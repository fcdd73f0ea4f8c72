import { expect, test } from 'vitest';

import { pageOf } from './pages';

test.each([
  ['/', '', 'hide'],
  ['/', '#', 'hide'],
  ['/', '#/', 'hide'],
  ['/', '#/find', 'find'],
  ['/', '#cluster', 'cluster'],
  ['/', '#/nonsense', null],
  ['/', '#/Cluster', null],
  ['/', '#/cluster/status', null],
  ['/nonsense', '', null],
  ['/nonsense', '#/hide', null],
])('the page of %s%s is %s', (pathname, hash, page) => {
  expect(pageOf({ pathname, hash })).toBe(page);
});
