/** The cover that was chosen, and what it can carry: told from its header at once, by a node where the header does not tell. */

import type { Client } from '../api/client';
import { asProblem, Problem } from '../api/problem';
import { capacity, DEFAULT_COVER } from '../api/stego';
import { capacityBytes, HEAD_BYTES, keyedCapacityBytes, readShape } from './shape';

export type BitsTable = (bits: number) => number;

export interface Carrying {
  format: string;
  width: number;
  height: number;
  /** The longest secret, in bytes, by bits per sample. */
  capacity: BitsTable;
  /** The same with a key. */
  keyedCapacity: number;
}

export class ChosenCover {
  file = $state.raw<File | null>(null);
  /** Null while a node is asked, and if it cannot be told. */
  carrying = $state.raw<Carrying | null>(DEFAULT_CARRYING);
  problem = $state.raw<Problem | null>(null);
  isAsking = $state(false);
  #asking: AbortController | null = null;

  constructor(private readonly client: Client) {}

  async choose(file: File | null): Promise<void> {
    this.#asking?.abort();
    this.#asking = null;
    this.file = file;
    this.problem = null;
    this.isAsking = false;
    this.carrying = file ? null : DEFAULT_CARRYING;
    if (!file) return;
    const head = await file.slice(0, HEAD_BYTES).arrayBuffer().catch(() => null);
    if (this.file !== file) return;
    if (!head) {
      this.problem = Problem.own('file_changed', 'The file cannot be read', `${file.name} cannot be read; choose it again`);
      return;
    }
    const shape = readShape(new Uint8Array(head));
    if (shape && !shape.mayHaveAlpha) {
      const { format, width, height, colours } = shape;
      this.carrying = { format, width, height, capacity: (bits) => capacityBytes(width * height, colours, bits), keyedCapacity: keyedCapacityBytes(width * height, colours) };
    } else {
      await this.#ask(file);
    }
  }

  async #ask(file: File): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    this.isAsking = true;
    try {
      const { format, width, height, modes } = await capacity(this.client, file, { signal: asking.signal });
      const table: BitsTable = (bits) => modes.find(({ mode, bits: of }) => mode === 'sequential' && of === bits)?.capacity_bytes ?? 0;
      const keyedCapacity = modes.find(({ mode }) => mode !== 'sequential')?.capacity_bytes ?? 0;
      if (this.#asking === asking) this.carrying = { format, width, height, capacity: table, keyedCapacity };
    } catch (error) {
      if (this.#asking === asking) this.problem = asProblem(error);
    } finally {
      if (this.#asking === asking) this.isAsking = false;
    }
  }
}

const { width, height } = DEFAULT_COVER;
const DEFAULT_CARRYING: Carrying = {
  format: 'PNG',
  width,
  height,
  capacity: (bits) => capacityBytes(width * height, 3, bits),
  keyedCapacity: keyedCapacityBytes(width * height, 3),
};
