/**
 * Who changes the cluster from this page, and by which right.
 *
 * The token is kept in the tab's session storage: it survives a reload, which people do when something looks odd, is seen by no
 * other tab, and ends with this one. A script that could read it there could as well read it from the page.
 */

const KEY = 'admin-token';

/** What the nodes say to this page's token, or to having none. */
export type Right = 'unknown' | 'loopback' | 'admin_token' | 'token_required' | 'token_wrong' | 'too_many_guesses';

export class Operator {
  name = $state('');
  right = $state<Right>('unknown');
  #token = $state('');

  /** `given` is a token that came in the address: it beats one from before. */
  constructor(given: string | null = null) {
    this.#token = given ?? storage()?.getItem(KEY) ?? '';
    this.#keep();
  }

  get token(): string {
    return this.#token;
  }

  set token(token: string) {
    this.#token = token.trim();
    this.right = 'unknown';
    this.#keep();
  }

  /** The headers of calls that change the cluster; these go to the configured nodes and to nobody else. */
  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.#token !== '') headers.authorization = `Bearer ${this.#token}`;
    if (this.name.trim() !== '') headers['x-steg-operator'] = asHeader(this.name.trim());
    return headers;
  }

  #keep(): void {
    try {
      if (this.#token === '') storage()?.removeItem(KEY);
      else storage()?.setItem(KEY, this.#token);
    } catch {
      // Full or forbidden: the token is forgotten with the page.
    }
  }
}

/** Browsers may refuse it, and tests have none. */
function storage(): Storage | null {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** Browsers take header values as Latin-1: the UTF-8 bytes of a name, each as one character. */
function asHeader(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}
