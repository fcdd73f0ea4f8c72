/** Nodes in turn, without those that did not do what they were asked a moment ago. No clock in here. */

/** How long a node that did not do a request is passed over. */
const REST_MS = 1000;

export class Turns {
  #turn = 0;
  readonly #restsUntil = new Map<string, number>();

  constructor(
    private readonly nodes: readonly string[],
    private readonly isLost: (id: string) => boolean,
  ) {}

  /** Whose turn it is. With none that seems fit it goes on over all of them: what is known may be old. */
  next(nowMs: number): string {
    const isFit = (id: string) => (this.#restsUntil.get(id) ?? 0) <= nowMs && !this.isLost(id);
    const fit = this.nodes.filter(isFit);
    const among = fit.length > 0 ? fit : this.nodes;
    this.#turn += 1;
    return among[this.#turn % among.length] ?? '';
  }

  rest(id: string, nowMs: number): void {
    this.#restsUntil.set(id, nowMs + REST_MS);
  }
}
