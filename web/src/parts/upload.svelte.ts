/** An upload under way: how far it is, and a way to stop it. */

import type { Progress } from '../api/attempt';
import type { CallOptions } from '../api/client';

export class UploadState {
  isBusy = $state(false);
  /** Null until the first bytes are sent, and while the node works. */
  progress = $state.raw<Progress | null>(null);
  /** Attempts that other nodes had to take over. */
  retries = $state(0);
  #controller: AbortController | null = null;

  async run<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#controller = controller;
    this.isBusy = true;
    this.progress = null;
    this.retries = 0;
    try {
      return await call({
        signal: controller.signal,
        onProgress: (progress) => (this.progress = progress),
        onRetry: () => (this.retries += 1),
      });
    } finally {
      this.isBusy = false;
    }
  }

  stop(): void {
    this.#controller?.abort();
  }
}
