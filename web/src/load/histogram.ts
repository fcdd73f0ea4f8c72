/**
 * Latencies counted by size: percentiles at any time, in memory that does not grow with the requests. Buckets grow by a factor, so
 * that the middle of each is at most `MAX_ERROR` away, relatively, from everything in it (DDSketch, VLDB 2019).
 */

/** Relative error of a percentile, at most. */
export const MAX_ERROR = 0.005;
const GROWTH = Math.log((1 + MAX_ERROR) / (1 - MAX_ERROR));
/** Below this, latencies are not told apart: browsers' clocks do not either. */
const LEAST_MS = 0.01;

export class Histogram {
  readonly #counts = new Map<number, number>();
  #total = 0;
  #maxMs = 0;

  record(ms: number): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, LEAST_MS)) / GROWTH);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#total += 1;
    this.#maxMs = Math.max(this.#maxMs, ms);
  }

  /** The smallest latency that this share of all does not exceed; null while there is none. */
  quantile(share: number): number | null {
    const rank = Math.max(Math.ceil(share * this.#total), 1);
    let seen = 0;
    for (const [bucket, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      seen += count;
      if (seen >= rank) return Math.min(middleOf(bucket), this.#maxMs);
    }
    return null;
  }

  /** Exact; null while there is none. */
  max(): number | null {
    return this.#total > 0 ? this.#maxMs : null;
  }
}

function middleOf(bucket: number): number {
  return (2 * Math.exp(bucket * GROWTH)) / (1 + Math.exp(GROWTH));
}

/** As [`Histogram.quantile`], exactly, of sorted latencies. */
export function quantileOf(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(Math.ceil(share * sorted.length), 1) - 1] ?? null;
}
