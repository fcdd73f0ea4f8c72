/**
 * Who changes the cluster from this page, and by which right.
 *
 * Token and name are kept in the tab's session storage: they survive a reload, which people do when something looks odd, are seen
 * by no other tab, and end with this one. A script that could read them there could as well read them from the page.
 */

const TOKEN_KEY = 'admin-token';
const NAME_KEY = 'operator-name';

/** What the nodes say to this page's token, or to having none. */
export type Right = 'unknown' | 'loopback' | 'admin_token' | 'token_required' | 'token_wrong' | 'too_many_guesses';

export class Operator {
  right = $state<Right>('unknown');
  #token = $state('');
  #name = $state('');

  /** `given` is a token that came in the address: it beats one from before. */
  constructor(given: string | null = null) {
    this.#token = given ?? storage()?.getItem(TOKEN_KEY) ?? '';
    this.#name = storage()?.getItem(NAME_KEY) ?? '';
    keep(TOKEN_KEY, this.#token);
  }

  get token(): string {
    return this.#token;
  }

  set token(token: string) {
    this.#token = token.trim();
    this.right = 'unknown';
    keep(TOKEN_KEY, this.#token);
  }

  /** Told with each change, so that others see who made it. */
  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    this.#name = name;
    keep(NAME_KEY, name.trim());
  }

  /** The headers of calls that change the cluster; these go to the configured nodes and to nobody else. */
  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.#token !== '') headers.authorization = `Bearer ${this.#token}`;
    if (this.name.trim() !== '') headers['x-steg-operator'] = asHeader(this.name.trim());
    return headers;
  }
}

function keep(key: string, text: string): void {
  try {
    if (text === '') storage()?.removeItem(key);
    else storage()?.setItem(key, text);
  } catch {
    // Full or forbidden: it is forgotten with the page.
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
