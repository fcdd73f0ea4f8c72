import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Operator } from './operator.svelte';

let kept: Map<string, string>;

beforeEach(() => {
  kept = new Map();
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, text: string) => kept.set(key, text),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => vi.unstubAllGlobals());

test('token and name are there after a reload, and gone once they are cleared', () => {
  const operator = new Operator('from-the-address');
  operator.name = ' Zoë ';
  const reloaded = new Operator();
  expect([reloaded.token, reloaded.name]).toEqual(['from-the-address', 'Zoë']);
  reloaded.token = '';
  reloaded.name = '';
  expect(kept.size).toBe(0);
  expect(new Operator().headers()).toEqual({});
});

test('a browser that keeps nothing still has both while the page is there', () => {
  vi.stubGlobal('sessionStorage', {
    getItem: () => null,
    setItem: () => {
      throw new DOMException('full', 'QuotaExceededError');
    },
  });
  const operator = new Operator();
  operator.token = 'a';
  operator.name = 'Zoë';
  expect(operator.headers()).toEqual({ authorization: 'Bearer a', 'x-steg-operator': 'Zo\u00c3\u00ab' });
});
