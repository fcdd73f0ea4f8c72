import { expect, test } from 'vitest';

import { Failure, type Done } from './requester';
import { Stats } from './stats';

const done = (changed: Partial<Done> = {}): Done => ({
  node: 'n1',
  retried: [],
  latencyMs: 10,
  answeredAt: 0,
  answerBytes: 100,
  isExtracted: false,
  failure: null,
  ...changed,
});

test('failures count by kind and not in the latency', () => {
  const stats = new Stats(['n1', 'n2']);
  stats.record(done(), 400);
  stats.record(done({ latencyMs: 5000, failure: new Failure('mismatch', 'first') }), 5000);
  stats.record(done({ latencyMs: 5000, failure: new Failure('mismatch', 'second') }), 300);
  expect([stats.succeeded, stats.failed, stats.lastAnswerMs]).toEqual([1, 2, 5000]);
  expect(Object.fromEntries(stats.errors)).toEqual({ mismatch: { count: 2, example: 'first' } });
  expect(stats.latency().max).toBe(10);
  expect(stats.perNode.get('n1')).toEqual({ requests: 3, succeeded: 1, failed: 2, retried: 0 });
  expect(stats.perNode.get('n2')?.requests).toBe(0);
});

test('retries count for the node that caused them, retried requests once', () => {
  const stats = new Stats(['n1', 'n2']);
  stats.record(done({ retried: ['n2', 'n2'] }), 1);
  stats.record(done(), 1);
  expect([stats.retried, stats.retries]).toEqual([1, 2]);
  expect(stats.perNode.get('n2')).toEqual({ requests: 0, succeeded: 0, failed: 0, retried: 2 });
});

test('kinds of errors are bounded', () => {
  const stats = new Stats([]);
  for (let number = 0; number < 1000; number += 1) stats.record(done({ failure: new Failure(`kind_${number}`, '') }), 1);
  expect(stats.errors.size).toBe(51);
  expect([...stats.errors.values()].reduce((sum, { count }) => sum + count, 0)).toBe(1000);
});

test('without a success there is no latency', () => {
  expect(new Stats([]).latency()).toEqual({ p50: null, p95: null, p99: null, p999: null, max: null });
});
