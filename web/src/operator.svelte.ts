/** Who changes the cluster from this page, and by which right. Forgotten with the page: a token is never stored. */

export class Operator {
  name = $state('');
  token = $state('');

  /** The headers of calls that change the cluster. */
  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    if (this.token !== '') headers.authorization = `Bearer ${this.token.trim()}`;
    if (this.name.trim() !== '') headers['x-steg-operator'] = asHeader(this.name.trim());
    return headers;
  }
}

/** Browsers take header values as Latin-1: the UTF-8 bytes of a name, each as one character. */
function asHeader(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}
