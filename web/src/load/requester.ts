/** One request: what is sent, how long the answers took, and whether they are right. */

import type { Answer, Request } from '../api/attempt';
import { idempotencyKey, type CallOptions, type Client } from '../api/client';
import { asProblem } from '../api/problem';
import { multipart, type FilePart } from './multipart';
import type { Task } from './plan';
import type { Turns } from './turns';

/** Stego images made before a run that extracts. */
export const PREPARED_IMAGES = 4;
/** How long a request is tried, over all nodes. */
const PATIENCE_MS = 30_000;
/** Of embeds by themselves every such one is extracted again, and not more of them than that. */
const SAMPLE_EVERY = 10;
const MAX_SAMPLED = 500;
const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** `IEND` and its checksum: with them the last chunk has arrived. */
const PNG_END = [0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82];

/** Why a request failed: a name to count by, and what happened. */
export class Failure extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

/** A request that is over. */
export interface Done {
  /** The node that answered or failed last; null where none was asked. */
  node: string | null;
  /** The nodes that a call was sent to in vain before it was sent again, once for each time. */
  retried: string[];
  /** From when the request was due to the last answer, without what was done here in between. */
  latencyMs: number;
  /** When the last answer had arrived, on the clock of `performance.now()`. */
  answeredAt: number;
  answerBytes: number;
  /** Whether what it embedded was extracted again. */
  isExtracted: boolean;
  failure: Failure | null;
}

/** A stego image and what is in it. */
interface Hidden {
  image: Uint8Array<ArrayBuffer>;
  secret: Uint8Array<ArrayBuffer>;
}

export interface Material {
  secret: () => Uint8Array<ArrayBuffer>;
  /** Null: the nodes' default cover. */
  cover: Uint8Array<ArrayBuffer> | null;
}

export class Requester {
  readonly #prepared: Hidden[] = [];
  #embeds = 0;
  #turn = 0;

  constructor(
    private readonly client: Pick<Client, 'call'>,
    private readonly turns: Turns,
    private readonly material: Material,
    private readonly signal: AbortSignal,
  ) {}

  /** Embeds what later requests extract. A run whose requests the nodes refuse ends here, with a failure. */
  async prepare(images: number): Promise<void> {
    for (let made = 0; made < images; made += 1) {
      const done = nothingDone();
      this.#prepared.push(await this.#embed(done));
    }
  }

  /** Does a request that was due at `dueAt`; null if it was cut off. */
  async perform(task: Task, dueAt: number): Promise<Done | null> {
    const done = nothingDone();
    done.latencyMs = performance.now() - dueAt;
    try {
      if (task === 'extract') await this.#extract(this.#turnOfPrepared(), done);
      else await this.#embedAndFind(task, done);
    } catch (thrown) {
      if (this.signal.aborted) return null;
      done.failure = thrown instanceof Failure ? thrown : failureOf(thrown);
    }
    return done;
  }

  async #embedAndFind(task: Task, done: Done): Promise<void> {
    const hidden = await this.#embed(done);
    if (task === 'roundtrip') {
      await this.#extract(hidden, done);
      done.isExtracted = true;
      return;
    }
    this.#embeds += 1;
    if (this.#embeds % SAMPLE_EVERY !== 1 || this.#embeds > SAMPLE_EVERY * MAX_SAMPLED) return;
    // A check of the page's own: it is no part of the request, whose node and latency stay as they are.
    await this.#extract(hidden, nothingDone());
    done.isExtracted = true;
  }

  async #embed(done: Done): Promise<Hidden> {
    const secret = this.material.secret();
    const parts: FilePart[] = [{ field: 'file', name: 'secret.bin', bytes: secret }];
    if (this.material.cover) parts.push({ field: 'cover', name: 'cover.png', bytes: this.material.cover });
    const answer = await this.#call(done, '/api/embed', 'image/png', parts);
    checkImage(answer, secret.length);
    return { image: new Uint8Array(answer.bytes), secret };
  }

  async #extract({ image, secret }: Hidden, done: Done): Promise<void> {
    const parts = [{ field: 'file', name: 'stego.png', bytes: image }];
    const answer = await this.#call(done, '/api/extract', 'application/octet-stream', parts);
    checkSame(new Uint8Array(answer.bytes), secret, answer.node);
  }

  async #call(done: Done, path: string, accept: string, parts: FilePart[]): Promise<Answer> {
    const asked: string[] = [];
    const { contentType, body } = multipart(parts);
    const headers = { accept, 'content-type': contentType, 'idempotency-key': idempotencyKey() };
    const request: Request = { method: 'POST', path, headers, body };
    const sentAt = performance.now();
    const options: CallOptions = {
      first: this.turns.next(sentAt),
      onAttempt: (node) => asked.push(node),
      signal: this.signal,
      patienceMs: PATIENCE_MS,
      silenceMs: PATIENCE_MS,
    };
    try {
      const answer = await this.client.call(request, options);
      done.answerBytes += answer.bytes.byteLength;
      return answer;
    } finally {
      done.answeredAt = performance.now();
      done.latencyMs += done.answeredAt - sentAt;
      const inVain = asked.slice(0, -1);
      for (const node of inVain) this.turns.rest(node, done.answeredAt);
      done.retried.push(...inVain);
      done.node = asked.at(-1) ?? done.node;
    }
  }

  #turnOfPrepared(): Hidden {
    this.#turn += 1;
    const hidden = this.#prepared[this.#turn % this.#prepared.length];
    if (!hidden) throw new Failure('not_prepared', 'no image was made to extract from');
    return hidden;
  }
}

function nothingDone(): Done {
  return {
    node: null,
    retried: [],
    latencyMs: 0,
    answeredAt: performance.now(),
    answerBytes: 0,
    isExtracted: false,
    failure: null,
  };
}

function failureOf(thrown: unknown): Failure {
  const { code, message } = asProblem(thrown);
  return new Failure(code, message);
}

/** The answer is a whole PNG by its two ends, and says that it carries as much as was sent. */
function checkImage({ bytes, header, node }: Answer, secretBytes: number): void {
  const found = new Uint8Array(bytes);
  const end = found.subarray(-PNG_END.length);
  const isWhole = PNG_SIGNATURE.every((byte, at) => byte === found[at]) && PNG_END.every((byte, at) => byte === end[at]);
  if (!isWhole) throw new Failure('bad_answer', `the answer of ${node} is not a whole PNG`);
  const told = header('x-stego-secret-size-bytes');
  if (told !== String(secretBytes)) {
    throw new Failure('bad_answer', `${node} took ${secretBytes} bytes for ${told ?? 'an unknown number'}`);
  }
}

/** The bytes are exactly this secret. */
export function checkSame(found: Uint8Array, secret: Uint8Array, node: string): void {
  const differsAt = secret.findIndex((byte, index) => byte !== found[index]);
  if (differsAt < 0 && found.length === secret.length) return;
  const from = differsAt < 0 ? secret.length : differsAt;
  const text = `${node} gave ${found.length} bytes for a secret of ${secret.length}, different from byte ${from} on`;
  throw new Failure('mismatch', text);
}
