/**
 * Calls to the cluster, whichever node answers: one that cannot be reached, is busy, paused or about to stop, or dies in the
 * middle, is passed over for the next one. Safe to do, since every call that does something carries an idempotency key.
 */

import { attempt, Unanswered, type Answer, type Progress, type Request } from './attempt';
import { Problem, retryOf } from './problem';
import { randomHex } from './random';
import type { NodePlace } from '../cluster/place';

/** For how long a call is tried, in milliseconds. With files it has longer, and not counted while bytes still go out. */
const PATIENCE_MS = 15_000;
const PATIENCE_WITH_FILES_MS = 120_000;
/** The same for calls that the nodes have to agree on: an election takes them milliseconds, and a node knows that it has no quorum. */
const PATIENCE_AGREED_MS = 6000;
/** A node is told how long it may take to decide. Its answer then gets this long to arrive. */
const ANSWER_WITHIN_MS = 2000;
/** A node is not asked again to decide within less than this. */
const LEAST_TO_DECIDE_MS = 500;
/** Calls end sooner where no node says anything: refused connections for so long, or no word on any stream for so long. */
const SILENCE_MS = 4000;
const STREAMS_SILENCE_MS = 8000;
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
  /** Milliseconds since any node was heard. */
  silentMs: () => number;
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
  /** How long to go on while every node refuses connections. */
  silenceMs?: number;
  /** Asked first, however the nodes are. */
  first?: string;
}

/** Until when a call is tried. The time in which bytes of its body go out does not count. */
class Patience {
  #until: number;

  /** `leastMs`: what a node needs to do anything at all. */
  constructor(
    ms: number,
    private readonly leastMs: number,
  ) {
    this.#until = performance.now() + ms;
  }

  static of(request: Request, options: CallOptions): Patience {
    const usual = options.needsQuorum ? PATIENCE_AGREED_MS : PATIENCE_MS;
    const ms = options.patienceMs ?? (request.body instanceof FormData ? PATIENCE_WITH_FILES_MS : usual);
    return new Patience(ms, isAgreedOn(request, options) ? LEAST_TO_DECIDE_MS : 0);
  }

  get leftMs(): number {
    return this.#until - performance.now();
  }

  isOver(): boolean {
    return this.leftMs <= this.leastMs;
  }

  extend(ms: number): void {
    this.#until += ms;
  }
}

/** Time since a node last answered this call or took bytes of its body. */
class Silence {
  #since = performance.now();

  get ms(): number {
    return performance.now() - this.#since;
  }

  end(): void {
    this.#since = performance.now();
  }
}

export class Client {
  /** Calls that have not ended. */
  underWay = 0;

  constructor(private readonly knowledge: Knowledge) {}

  /** The first answer that is one. Other statuses than 2xx are thrown as a [`Problem`]. */
  async call(request: Request, options: CallOptions = {}): Promise<Answer> {
    const { silenceMs = SILENCE_MS } = options;
    const patience = Patience.of(request, options);
    const silence = new Silence();
    let last: Problem | null = null;
    for (let round = 0; ; round += 1) {
      for (const node of this.#order(options)) {
        const outcome = await this.#ask(node, request, options, { patience, silence });
        if (!(outcome instanceof Problem)) return outcome;
        if (outcome.status !== 0) silence.end();
        if (!isWorthAnother(outcome)) throw isOfTheNodeAlone(outcome) ? weightier(last, outcome) : outcome;
        last = weightier(last, outcome);
        if (patience.isOver()) throw last;
        options.onRetry?.(outcome.message);
      }
      if (silence.ms >= silenceMs) throw this.#unanswered(last, silence);
      const rest = Math.min(PAUSE_MS * 2 ** Math.min(round, 4), patience.leftMs, silenceMs - silence.ms);
      await pause(rest, options.signal);
      if (patience.isOver() && last) throw last;
    }
  }

  /** A call to this one node, and no other. */
  async callNode(node: NodePlace, request: Request, options: CallOptions = {}): Promise<Answer> {
    const patience = Patience.of(request, options);
    const outcome = await this.#ask(node, request, options, { patience, silence: new Silence() });
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

  /** The end of a call that no node answers any more. */
  #unanswered(last: Problem | null, { ms }: Silence): Problem {
    if (last?.code === 'outcome_unknown' || last?.code === 'file_changed') return last;
    const ids = this.knowledge.order(false).map((node) => node.id);
    const detail = `${ids.join(', ')} ${ids.length === 1 ? 'has' : 'have'} not answered for ${Math.round(ms / 1000)} s`;
    return Problem.own('no_node_answers', 'No node answers', detail);
  }

  async #ask(
    node: NodePlace,
    request: Request,
    options: CallOptions,
    { patience, silence }: { patience: Patience; silence: Silence },
  ): Promise<Answer | Problem> {
    if (options.signal?.aborted) throw stopped();
    options.onAttempt?.(node.id);
    let sentAt = performance.now();
    const isAgreed = isAgreedOn(request, options);
    const sent = isAgreed ? toDecideWithin(patience.leftMs, request) : request;
    const running = attempt(node, sent, (progress) => {
      const now = performance.now();
      patience.extend(now - sentAt);
      sentAt = now;
      silence.end();
      options.onProgress?.(progress);
    });
    const watch = setInterval(() => {
      const isSilent = Math.min(silence.ms, this.knowledge.silentMs()) > STREAMS_SILENCE_MS;
      const isLate = patience.leftMs <= (isAgreed ? -ANSWER_WITHIN_MS : 0);
      if (isLate || isSilent || this.knowledge.isLost(node.id)) running.giveUp();
    }, LOOK_MS);
    options.signal?.addEventListener('abort', running.giveUp);
    this.underWay += 1;
    try {
      const answer = await running.answer;
      const isGood = answer.status >= 200 && answer.status < 300;
      return isGood ? answer : await Problem.read(answer.status, answer.body);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      if (options.signal?.aborted) throw stopped();
      if (isAgreed && error.mayBeDone) {
        const detail = `${error.message}, and may have done it before`;
        return Problem.own('outcome_unknown', 'It may or may not have been done', detail);
      }
      if (patience.isOver()) return Problem.own('too_slow', 'It took too long', `${node.id} did not answer in time`);
      return (await changedFile(request)) ?? Problem.own('no_node_answers', 'No node answers', error.message);
    } finally {
      this.underWay -= 1;
      clearInterval(watch);
      options.signal?.removeEventListener('abort', running.giveUp);
    }
  }
}

/** Whether it is a change that the nodes have to agree on. */
function isAgreedOn({ method }: Request, { needsQuorum = false }: CallOptions): boolean {
  return needsQuorum && method !== 'GET';
}

/** A call that was given up may have been done: a node that says within the time that it did nothing tells more. */
function toDecideWithin(ms: number, request: Request): Request {
  return { ...request, headers: { ...request.headers, 'x-steg-timeout-ms': String(Math.max(1, Math.round(ms))) } };
}

/** Whether another node, or the same one a little later, may do what this one did not. */
function isWorthAnother({ code, status }: Problem): boolean {
  if (status === 0) return code === 'no_node_answers' || code === 'too_slow' || code === 'outcome_unknown';
  // Every call that does something carries an idempotency key.
  return ['elsewhere', 'same_key'].includes(retryOf(code, status));
}

/** Whether a refusal says nothing of what became of the call at other nodes: who may do what, each one decides for itself. */
function isOfTheNodeAlone({ status }: Problem): boolean {
  return status === 401 || status === 403;
}

/**
 * What to say in the end, of two problems. That something may have been done is never replaced by another node's word that it
 * did nothing; and what a node said tells more than that another one said nothing.
 */
function weightier(before: Problem | null, now: Problem): Problem {
  if (before === null || now.code === 'outcome_unknown') return now;
  return before.code === 'outcome_unknown' || now.status === 0 ? before : now;
}

/** A browser sends no file that has changed since it was chosen, and does not say so. */
async function changedFile({ body }: Request): Promise<Problem | null> {
  if (!(body instanceof FormData)) return null;
  for (const part of body.values()) {
    if (typeof part === 'string') continue;
    try {
      await part.slice(0, 1).arrayBuffer();
    } catch {
      const detail = `${part.name} has changed, or is gone, since it was chosen; choose it again`;
      return Problem.own('file_changed', 'The file has changed', detail);
    }
  }
  return null;
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

/** A key under which a call can be repeated. */
export const idempotencyKey = randomHex;
