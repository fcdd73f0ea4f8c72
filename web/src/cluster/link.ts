/** The live stream of one node, opened again whenever it ends. */

import type { ClusterEvent, StatusAnswer } from '../api/types';
import type { NodePlace } from './place';

const KINDS = ['role', 'leader', 'peer', 'suspicion', 'members', 'config', 'drill', 'notice'] as const;
/** Between two attempts: at first, and at most. */
const RETRY_MS = 400;
const RETRY_MAX_MS = 4000;
/** A stream this silent is dead, whatever TCP thinks: a status comes every second where nothing else is configured. */
const SILENCE_MS = 5000;

export interface LinkListener {
  status: (status: StatusAnswer) => void;
  event: (event: ClusterEvent) => void;
  /** Whether the stream is open. */
  connected: (isConnected: boolean) => void;
}

export class Link {
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS;
  /** Null before it was tried. */
  #isConnected: boolean | null = null;

  constructor(
    readonly node: NodePlace,
    private readonly listener: LinkListener,
  ) {}

  open(): void {
    const source = new EventSource(`${this.node.origin}/cluster/events?status=true`);
    this.#source = source;
    source.addEventListener('status', (message: MessageEvent<string>) => {
      this.#alive();
      this.listener.status(JSON.parse(message.data) as StatusAnswer);
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (message: MessageEvent<string>) => {
        this.listener.event(JSON.parse(message.data) as ClusterEvent);
      });
    }
    source.onerror = () => this.#lost();
    this.#await(SILENCE_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #alive(): void {
    this.#retryMs = RETRY_MS;
    this.#await(SILENCE_MS);
    this.#tell(true);
  }

  #lost(): void {
    this.close();
    this.#tell(false);
    this.#timer = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  #await(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), ms);
  }

  #tell(isConnected: boolean): void {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.listener.connected(isConnected);
  }
}
