import { describe, expect, test } from 'vitest';

import { Histogram, MAX_ERROR, quantileOf } from './histogram';

const SHARES = [0.001, 0.25, 0.5, 0.95, 0.99, 0.999, 1];

/** By definition: the smallest value that at least this share of all values does not exceed. */
function naive(values: number[], share: number): number {
  const fits = values.filter((value) => values.filter((other) => other <= value).length >= share * values.length);
  return Math.min(...fits);
}

/** Numbers from 0 to 1, the same ones each time. */
function* numbers(): Generator<number, never> {
  for (let state = 1; ; ) {
    state = (state * 48_271) % 2_147_483_647;
    yield state / 2_147_483_647;
  }
}

function check(values: number[]) {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  const sorted = values.toSorted((a, b) => a - b);
  for (const share of SHARES) {
    const exact = naive(values, share);
    expect(quantileOf(sorted, share)).toBe(exact);
    // A little more than the bound, for the rounding of floats.
    expect(Math.abs((histogram.quantile(share) ?? NaN) - exact)).toBeLessThanOrEqual(exact * MAX_ERROR * 1.0001);
  }
  expect(histogram.max()).toBe(Math.max(...values));
}

describe('percentiles', () => {
  test('are those of the sorted latencies', () => {
    const random = numbers();
    check([7]);
    check([1, 2]);
    check(Array.from({ length: 1000 }, (_, step) => ((step * 7) % 1000) + 1));
    // From a hundredth of a millisecond to an hour, and many that are the same.
    check(Array.from({ length: 700 }, () => 0.01 * Math.exp(random.next().value * Math.log(3.6e8))));
    check(Array.from({ length: 700 }, () => Math.floor(random.next().value * 4) + 1));
  });

  test('do not exist without latencies', () => {
    expect(new Histogram().quantile(0.5)).toBeNull();
    expect(new Histogram().max()).toBeNull();
    expect(quantileOf([], 0.5)).toBeNull();
  });

  test('of what no clock tells apart are not negative', () => {
    const histogram = new Histogram();
    histogram.record(0);
    expect(histogram.quantile(0.5)).toBe(0);
  });
});
