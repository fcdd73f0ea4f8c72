/** Counts what requests came to. */

import { Histogram } from './histogram';
import type { Done, Failure } from './requester';
import { Seconds } from './seconds';

/** Kinds of errors told apart, at most: nodes name them, and a list of theirs must not grow without end. */
const MAX_ERROR_KINDS = 50;

/** The requests that a node decided, and the calls that it did not do. */
export interface NodeCount {
  requests: number;
  succeeded: number;
  failed: number;
  /** Calls that were sent again, mostly elsewhere, because this node did not do them. */
  retried: number;
}

export interface ErrorCount {
  count: number;
  /** What the first of them said. */
  example: string;
}

/** In milliseconds; null while nothing has succeeded. */
export interface Latency {
  p50: number | null;
  p95: number | null;
  p99: number | null;
  p999: number | null;
  max: number | null;
}

export class Stats {
  succeeded = 0;
  failed = 0;
  /** Requests of which some call was sent again, and how many calls were. */
  retried = 0;
  retries = 0;
  /** Requests of the open model that found no free place when they were due. */
  late = 0;
  extracted = 0;
  answerBytes = 0;
  /** When the last answer arrived, in milliseconds after the start. */
  lastAnswerMs = 0;
  readonly errors = new Map<string, ErrorCount>();
  readonly perNode: Map<string, NodeCount>;
  readonly seconds = new Seconds();
  readonly #latency = new Histogram();

  constructor(nodes: readonly string[]) {
    this.perNode = new Map(nodes.map((node) => [node, { requests: 0, succeeded: 0, failed: 0, retried: 0 }]));
  }

  /** A request that was answered that long after the start. */
  record(done: Done, answeredMs: number): void {
    this.retries += done.retried.length;
    this.retried += Number(done.retried.length > 0);
    this.extracted += Number(done.isExtracted);
    this.answerBytes += done.answerBytes;
    this.lastAnswerMs = Math.max(this.lastAnswerMs, answeredMs);
    this.#countNodes(done);
    this.seconds.record(answeredMs, done.failure ? null : done.latencyMs);
    if (done.failure) return this.#fail(done.failure);
    this.succeeded += 1;
    this.#latency.record(done.latencyMs);
  }

  latency(): Latency {
    const at = (share: number) => this.#latency.quantile(share);
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: this.#latency.max() };
  }

  #countNodes({ node, retried, failure }: Done): void {
    for (const other of retried) this.#node(other).retried += 1;
    if (node === null) return;
    const count = this.#node(node);
    count.requests += 1;
    count[failure ? 'failed' : 'succeeded'] += 1;
  }

  #node(id: string): NodeCount {
    const count = this.perNode.get(id) ?? { requests: 0, succeeded: 0, failed: 0, retried: 0 };
    this.perNode.set(id, count);
    return count;
  }

  #fail({ kind, message }: Failure): void {
    this.failed += 1;
    const name = this.errors.has(kind) || this.errors.size < MAX_ERROR_KINDS ? kind : 'other';
    const error = this.errors.get(name) ?? { count: 0, example: message };
    this.errors.set(name, { ...error, count: error.count + 1 });
  }
}
