/** How a run went, second by second. */

import { quantileOf } from './histogram';

export interface Columns {
  /** The ends of the seconds, since the start. */
  times: number[];
  succeeded: number[];
  failed: number[];
  p50Ms: (number | null)[];
  p95Ms: (number | null)[];
}

interface Second {
  latenciesMs: number[];
  failed: number;
}

export class Seconds {
  readonly #seconds: Second[] = [];

  /** A request that was over at that time after the start; without a latency it failed. */
  record(elapsedMs: number, latencyMs: number | null): void {
    const second = this.#at(Math.max(Math.floor(elapsedMs / 1000), 0));
    if (latencyMs === null) second.failed += 1;
    else second.latenciesMs.push(latencyMs);
  }

  /** The whole seconds before that time. */
  columns(elapsedMs: number): Columns {
    const whole = Math.floor(elapsedMs / 1000);
    if (whole > 0) this.#at(whole - 1);
    const seconds = this.#seconds.slice(0, whole);
    // Sorting in place: what is sorted already, as in all seconds that are over, costs next to nothing.
    for (const { latenciesMs } of seconds) latenciesMs.sort((a, b) => a - b);
    return {
      times: seconds.map((_, index) => index + 1),
      succeeded: seconds.map(({ latenciesMs }) => latenciesMs.length),
      failed: seconds.map(({ failed }) => failed),
      p50Ms: seconds.map(({ latenciesMs }) => quantileOf(latenciesMs, 0.5)),
      p95Ms: seconds.map(({ latenciesMs }) => quantileOf(latenciesMs, 0.95)),
    };
  }

  #at(index: number): Second {
    while (this.#seconds.length <= index) this.#seconds.push({ latenciesMs: [], failed: 0 });
    return this.#seconds[index] as Second;
  }
}
