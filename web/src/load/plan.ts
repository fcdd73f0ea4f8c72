/** What is to be sent, and when. No clock in here. */

export const MODES = ['embed', 'extract', 'roundtrip', 'mixed'] as const;
export type Mode = (typeof MODES)[number];
/** What one request does. */
export type Task = Exclude<Mode, 'mixed'>;
/** Closed: each client sends its next request when the last one is done. Open: requests are due at a constant rate. */
export type Model = 'closed' | 'open';
export type CoverChoice = 'default' | 'small';

export interface Options {
  mode: Mode;
  model: Model;
  /** Of the closed model. */
  clients: number;
  requestsPerClient: number;
  /** Of the open model: requests a second, for how long. */
  rate: number;
  durationS: number;
  secretBytes: number;
  cover: CoverChoice;
}

/** Connections that a browser opens to one node, without the one that carries the live stream. */
export const CONNECTIONS_PER_NODE = 5;
export const MAX_REQUESTS = 100_000;
export const MAX_DURATION_S = 3600;
const MAX_RATE = 1000;
/** Covers in pixels. The default one is the first of the nodes' data set. */
export const COVERS: Record<CoverChoice, { width: number; height: number }> = {
  default: { width: 1920, height: 1080 },
  small: { width: 320, height: 240 },
};
/** What a secret carries besides itself: a header, a name and a media type, with room to spare. */
const BESIDES_BYTES = 128;

/** What loadgen does by default, with as many clients as the browser can have. */
export function defaultOptions(nodes: number): Options {
  return {
    mode: 'embed',
    model: 'closed',
    clients: Math.min(20, CONNECTIONS_PER_NODE * nodes),
    requestsPerClient: 200,
    rate: 20,
    durationS: 30,
    secretBytes: 10_240,
    cover: 'default',
  };
}

export interface Bounds {
  nodes: number;
  bits: number;
  maxSecretBytes: number;
}

/** The longest random secret that fits. */
export function maxSecretBytes(cover: CoverChoice, { bits, maxSecretBytes: most }: Bounds): number {
  const { width, height } = COVERS[cover];
  return Math.min(Math.floor((width * height * 3 * bits) / 8) - BESIDES_BYTES, most);
}

export type Faults = Partial<Record<keyof Options, string>>;

/** What is wrong with what was typed, by field. */
export function faultsOf(options: Options, bounds: Bounds): Faults {
  const closed = options.model === 'closed';
  const checks: [keyof Options, boolean, number, number, boolean][] = [
    ['clients', closed, 1, CONNECTIONS_PER_NODE * bounds.nodes, true],
    ['requestsPerClient', closed, 1, MAX_REQUESTS, true],
    ['rate', !closed, 0.1, MAX_RATE, false],
    ['durationS', !closed, 1, MAX_DURATION_S, true],
    ['secretBytes', true, 1, maxSecretBytes(options.cover, bounds), true],
  ];
  const faults: Faults = {};
  for (const [field, applies, least, most, isWhole] of checks) {
    const value = options[field] as number | null | undefined;
    const fits = typeof value === 'number' && value >= least && value <= most && (!isWhole || Number.isInteger(value));
    const kind = isWhole ? 'a whole number' : 'a number';
    if (applies && !fits) faults[field] = `Give ${kind} from ${least} to ${most.toLocaleString('en-US')}.`;
  }
  if (Object.keys(faults).length === 0 && plannedOf(options) > MAX_REQUESTS) {
    const text = `That is ${plannedOf(options).toLocaleString('en-US')} requests; at most 100,000 are sent in a run.`;
    faults[closed ? 'requestsPerClient' : 'durationS'] = text;
  }
  return faults;
}

/** The requests of the whole run. */
export function plannedOf({ model, clients, requestsPerClient, rate, durationS }: Options): number {
  return model === 'closed' ? clients * requestsPerClient : Math.ceil(rate * durationS);
}

/** Requests that may be under way at once. */
export function placesOf(options: Options, nodes: number): number {
  return options.model === 'closed' ? options.clients : CONNECTIONS_PER_NODE * nodes;
}

/** What the next request does; `random` is from 0 to 1. Half embeds, 30 % extracts, 20 % roundtrips in a mix. */
export function taskOf(mode: Mode, random: number): Task {
  if (mode !== 'mixed') return mode;
  return random < 0.5 ? 'embed' : random < 0.8 ? 'extract' : 'roundtrip';
}

/** Whether some requests need stego images made beforehand. */
export function needsImages(mode: Mode): boolean {
  return mode === 'extract' || mode === 'mixed';
}

/** Hands out requests to places that are free. */
export class Schedule {
  readonly #sent = new Map<number, number>();
  #arrivals = 0;

  constructor(private readonly options: Options) {}

  /** When a place's next request is due, in milliseconds since the start; null without a next one. */
  next(place: number, elapsedMs: number): number | null {
    const { model, requestsPerClient, rate } = this.options;
    if (model === 'open') {
      if (this.#arrivals >= plannedOf(this.options)) return null;
      this.#arrivals += 1;
      return ((this.#arrivals - 1) * 1000) / rate;
    }
    const sent = this.#sent.get(place) ?? 0;
    if (sent >= requestsPerClient) return null;
    this.#sent.set(place, sent + 1);
    return elapsedMs;
  }

  /** Requests of the open model that were due by then. */
  dueBy(elapsedMs: number): number {
    if (this.options.model === 'closed') return 0;
    return Math.min(Math.floor((elapsedMs * this.options.rate) / 1000) + 1, plannedOf(this.options));
  }
}
