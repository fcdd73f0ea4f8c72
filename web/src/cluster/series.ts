/** How nodes did over time: every second while the page is open, every ten seconds as far back as nodes remember. */

import type { HistoryAnswer, NodeStatus } from '../api/types';

/** Milliseconds between two points of each, and how many are kept: ten minutes, and a day. */
export const LIVE = { stepMs: 1000, kept: 600 } as const;
export const LONG = { stepMs: 10_000, kept: 8640 } as const;

/** What one node did in a step that ended at a time. */
export interface Point {
  /** Requests a second. */
  rate: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
}

/** Points of the nodes on a common grid of time, the oldest first. */
export class Series {
  /** By the end of the step, in milliseconds since 1970, and then by node. */
  readonly #steps = new Map<number, Map<string, Point>>();

  constructor(private readonly grid: { stepMs: number; kept: number }) {}

  set(node: string, at: number, point: Point): void {
    this.#put(node, Math.round(at / this.grid.stepMs) * this.grid.stepMs, point);
  }

  /** The same point for all steps after `from` and up to `to` that have none. */
  fill(node: string, from: number, to: number, point: Point): void {
    const { stepMs } = this.grid;
    for (let step = Math.floor(from / stepMs) * stepMs + stepMs; step <= to; step += stepMs) {
      if (!this.#steps.get(step)?.has(node)) this.#put(node, step, point);
    }
  }

  #put(node: string, step: number, point: Point): void {
    const points = this.#steps.get(step) ?? new Map<string, Point>();
    points.set(node, point);
    this.#steps.set(step, points);
    if (this.#steps.size > this.grid.kept) this.#steps.delete(Math.min(...this.#steps.keys()));
  }

  /** The time of the newest point of a node. */
  newest(node: string): number | null {
    const times = [...this.#steps].filter(([, points]) => points.has(node)).map(([at]) => at);
    return times.length > 0 ? Math.max(...times) : null;
  }

  /** Times in seconds, and for each node what `pick` takes from its points; steps that nobody told of are gaps. */
  columns(nodes: readonly string[], since: number, until: number, pick: (point: Point) => number | null) {
    const { stepMs } = this.grid;
    const times: number[] = [];
    for (let at = Math.ceil(since / stepMs) * stepMs; at <= until; at += stepMs) times.push(at);
    const column = (node: string) =>
      times.map((at) => {
        const point = this.#steps.get(at)?.get(node);
        return point ? pick(point) : null;
      });
    return { times: times.map((at) => at / 1000), columns: nodes.map(column) };
  }
}

/** How many of the newest steps may be unknown before a value is no longer that of now. */
export const RECENT_STEPS = 3;

/** The value of now. */
export function lastKnown(values: readonly (number | null)[]): number | null {
  return values.slice(-RECENT_STEPS).findLast((value) => value !== null) ?? null;
}

/** The sum over the nodes, step by step, of what is known; null where nothing is. */
export function totals(columns: readonly (readonly (number | null)[])[]): (number | null)[] {
  return (columns[0] ?? []).map((_, step) => {
    const known = columns.map((column) => column[step]).filter((value) => value != null);
    return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) : null;
  });
}

/** Takes over what a node remembers. On a finer grid, a step of its stands for each one that lies within it and is not known. */
export function addHistory(series: Series, { node_id: node, step_ms: stepMs, points }: HistoryAnswer): void {
  for (const { at_ms: at, requests, p50_ms: p50, p95_ms: p95 } of points) {
    const point = { rate: (requests * 1000) / stepMs, p50Ms: p50 ?? null, p95Ms: p95 ?? null };
    series.fill(node, at - stepMs, at, point);
  }
}

/** Requests a second between two readings of a node's counter; none if the node started anew in between. */
export function rateBetween(
  before: { at: number; total: number } | undefined,
  now: { at: number; total: number },
): number | null {
  if (!before || now.total < before.total || now.at <= before.at) return null;
  return ((now.total - before.total) * 1000) / (now.at - before.at);
}

/** What a node says of itself now; its percentiles are of the last minute, and none if nobody asked it for anything. */
export function pointOf(node: NodeStatus, rate: number | null): Point {
  const isIdle = rate === null || !node.qps_1m;
  return { rate, p50Ms: isIdle ? null : (node.p50_ms ?? null), p95Ms: isIdle ? null : (node.p95_ms ?? null) };
}
