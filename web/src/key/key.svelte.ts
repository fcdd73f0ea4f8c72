/** The key of a form: lives as long as the page, and is stored nowhere. */

import { strengthOf } from './strength';

export interface Key {
  passphrase: string;
  file: File | null;
}

export class ChosenKey {
  passphrase = $state('');
  file = $state.raw<File | null>(null);
  isShown = $state(false);
  readonly strength = $derived(strengthOf(this.passphrase));
  readonly isGiven = $derived(this.passphrase !== '' || this.file !== null);

  /** What is sent; null without a key. */
  get(): Key | null {
    return this.isGiven ? { passphrase: this.passphrase, file: this.file } : null;
  }
}
