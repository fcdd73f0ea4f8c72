import { expect, test } from 'vitest';

import { addHistory, rateBetween, Series, lastKnown, totals } from './series';

const point = (rate: number) => ({ rate, p50Ms: null, p95Ms: null });
const rates = (series: Series, since: number, until: number) =>
  series.columns(['n1'], since, until, (one) => one.rate).columns[0];

test('points lie on a common grid, and what nobody told of is a gap', () => {
  const series = new Series({ stepMs: 1000, kept: 100 });
  series.set('n1', 10_020, point(1));
  series.set('n1', 11_980, point(2));
  series.set('n2', 11_001, point(9));
  expect(rates(series, 10_000, 13_000)).toEqual([1, null, 2, null]);
  expect(series.newest('n1')).toBe(12_000);
  expect(series.newest('n3')).toBeNull();
});

test('the oldest steps are given up', () => {
  const series = new Series({ stepMs: 1000, kept: 3 });
  for (let second = 1; second <= 5; second += 1) series.set('n1', second * 1000, point(second));
  expect(rates(series, 1000, 5000)).toEqual([null, null, 3, 4, 5]);
});

test('what a node remembers fills the finer grid, but for what is known better', () => {
  const series = new Series({ stepMs: 1000, kept: 100 });
  series.set('n1', 19_000, point(7));
  const told = { at_ms: 20_000, requests: 20, p50_ms: 1, p95_ms: 2 };
  addHistory(series, { node_id: 'n1', step_ms: 10_000, points: [told] });
  expect(rates(series, 10_000, 21_000)).toEqual([null, 2, 2, 2, 2, 2, 2, 2, 2, 7, 2, null]);
});

test('a counter that began anew gives no rate', () => {
  const check = (before: number, now: number, ms: number) =>
    rateBetween({ at: 1000, total: before }, { at: 1000 + ms, total: now });
  expect(check(10, 30, 2000)).toBe(10);
  expect(check(30, 10, 2000)).toBeNull();
  expect(check(10, 30, 0)).toBeNull();
  expect(rateBetween(undefined, { at: 1, total: 1 })).toBeNull();
});

test('the rate of now is the newest that is known, of all nodes that told of it', () => {
  expect(totals([[1, 2, null], [4, null, null]])).toEqual([5, 2, null]);
  expect(lastKnown([5, 2, null])).toBe(2);
  expect(lastKnown([5, null, null, null])).toBeNull();
  expect(lastKnown(totals([]))).toBeNull();
});
