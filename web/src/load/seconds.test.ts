import { expect, test } from 'vitest';

import { Seconds } from './seconds';

test('requests count in the second in which they were over; the one under way is left out', () => {
  const seconds = new Seconds();
  for (const [at, latency] of [[999, 30], [10, 10], [500, 20], [3500, 5], [3600, null], [4100, 1]] as const) {
    seconds.record(at, latency);
  }
  expect(seconds.columns(4900)).toEqual({
    times: [1, 2, 3, 4],
    succeeded: [3, 0, 0, 1],
    failed: [0, 0, 0, 1],
    p50Ms: [20, null, null, 5],
    p95Ms: [30, null, null, 5],
  });
});

test('seconds without an answer are there, too', () => {
  expect(new Seconds().columns(2500).succeeded).toEqual([0, 0]);
  expect(new Seconds().columns(900).times).toEqual([]);
});
