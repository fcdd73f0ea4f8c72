import { expect, test } from 'vitest';

import { takeToken, tokenIn } from './token';

test.each([
  ['#token=abc123', 'abc123'],
  ['#/token=abc', 'abc'],
  ['#/settings?token=a%2Bb', 'a+b'],
  ['#token=q7cVtmH1/+==', 'q7cVtmH1/+=='],
  ['', null],
  ['#/hide', null],
  ['#token=', null],
  ['#token=%', null],
  ['#token=a b', null],
])('the token in %s is %s', (hash, expected) => {
  expect(tokenIn(hash)).toBe(expected);
});

test('a token does not stay in the address', () => {
  const seen: string[] = [];
  const history = { replaceState: (_state: unknown, _title: string, url: string) => seen.push(url) } as unknown as History;
  const at = (hash: string) => ({ pathname: '/', search: '?x=1', hash }) as Location;
  expect(takeToken(at('#token=abc'), history)).toBe('abc');
  expect(takeToken(at('#/settings'), history)).toBe(null);
  expect(takeToken(at('#/settings?token=abc'), history)).toBe('abc');
  expect(seen).toEqual(['/?x=1#/', '/?x=1#/settings']);
});
