/**
 * Calls to the cluster, whichever node answers: one that cannot be reached, is busy, paused or about to stop, or dies in the
 * middle, is passed over for the next one. Safe to do, since every call that does something carries an idempotency key.
 */

import { attempt, Unanswered, type Answer, type Progress, type Request } from './attempt';
import { Problem } from './problem';
import type { NodePlace } from '../cluster/place';

/** Until when a call is tried, in milliseconds. Uploads have longer. */
const PATIENCE_MS = 15_000;
const PATIENCE_WITH_FILES_MS = 180_000;
/** Between two rounds over all nodes. */
const PAUSE_MS = 150;
/** How often a call under way asks whether its node is still there. */
const LOOK_MS = 250;

/** What is known of the nodes, from elsewhere. */
export interface Knowledge {
  /** Nodes in the order in which they should be asked. */
  order: (needsQuorum: boolean) => NodePlace[];
  /** Whether a node is known not to answer any more, while another one does. */
  isLost: (id: string) => boolean;
}

export interface CallOptions {
  /** Whether the call is one that the nodes have to agree on. */
  needsQuorum?: boolean;
  onProgress?: (progress: Progress) => void;
  /** Told of each node that is asked, as it is. */
  onAttempt?: (node: string) => void;
  /** Told of each further attempt. */
  onRetry?: (why: string) => void;
  signal?: AbortSignal;
  patienceMs?: number;
  /** Asked first, however the nodes are. */
  first?: string;
}

export class Client {
  constructor(private readonly knowledge: Knowledge) {}

  /** The first answer that is one. Other statuses than 2xx are thrown as a [`Problem`]. */
  async call(request: Request, options: CallOptions = {}): Promise<Answer> {
    const patienceMs =
      options.patienceMs ?? (request.body instanceof FormData ? PATIENCE_WITH_FILES_MS : PATIENCE_MS);
    const until = performance.now() + patienceMs;
    let last: Problem | null = null;
    for (let round = 0; ; round += 1) {
      for (const node of this.#order(options)) {
        const outcome = await this.#ask(node, request, options, until);
        if (!(outcome instanceof Problem)) return outcome;
        if (!isWorthAnother(outcome)) throw outcome;
        // What a node said tells more than that another one said nothing.
        if (last === null || outcome.status !== 0) last = outcome;
        if (performance.now() >= until) throw last;
        options.onRetry?.(outcome.message);
      }
      await pause(Math.min(PAUSE_MS * 2 ** Math.min(round, 4), until - performance.now()), options.signal);
      if (performance.now() >= until && last) throw last;
    }
  }

  /** A call to this one node, and no other. */
  async callNode(node: NodePlace, request: Request, options: CallOptions = {}): Promise<Answer> {
    const until = performance.now() + (options.patienceMs ?? PATIENCE_MS);
    const outcome = await this.#ask(node, request, options, until);
    if (outcome instanceof Problem) throw outcome;
    return outcome;
  }

  async json<T>(request: Request, options: CallOptions = {}): Promise<T> {
    const answer = await this.call(request, options);
    return JSON.parse(await answer.body.text()) as T;
  }

  #order({ needsQuorum = false, first }: CallOptions): NodePlace[] {
    const order = this.knowledge.order(needsQuorum);
    const chosen = order.find((node) => node.id === first);
    return chosen ? [chosen, ...order.filter((node) => node !== chosen)] : order;
  }

  async #ask(node: NodePlace, request: Request, options: CallOptions, until: number): Promise<Answer | Problem> {
    if (options.signal?.aborted) throw stopped();
    options.onAttempt?.(node.id);
    const running = attempt(node, request, options.onProgress);
    const watch = setInterval(() => {
      if (performance.now() >= until || this.knowledge.isLost(node.id)) running.giveUp();
    }, LOOK_MS);
    options.signal?.addEventListener('abort', running.giveUp);
    try {
      const answer = await running.answer;
      const isGood = answer.status >= 200 && answer.status < 300;
      return isGood ? answer : await Problem.read(answer.status, answer.body);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      if (options.signal?.aborted) throw stopped();
      return Problem.own('no_node_answers', 'No node answers', error.message);
    } finally {
      clearInterval(watch);
      options.signal?.removeEventListener('abort', running.giveUp);
    }
  }
}

/** Whether another node, or the same one a little later, may do what this one did not. */
function isWorthAnother(problem: Problem): boolean {
  const { code, status } = problem;
  if (code === 'no_node_answers' || code === 'outcome_unknown' || code === 'request_in_flight') return true;
  // A body that was cut off on its way is one that this page sent whole.
  if (code === 'upload_broken') return true;
  return status === 503 && code !== 'deadline_exceeded' && code !== 'foreign_cluster';
}

function stopped(): Problem {
  return Problem.own('stopped', 'Stopped', 'you stopped it');
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(ms, 0));
    signal?.addEventListener('abort', done);
  });
}

/** A key under which a call can be repeated. `crypto.randomUUID` is there in secure contexts only. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
