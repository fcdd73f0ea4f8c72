/** The cluster as the page knows it, live: the streams of all nodes, put together. */

import { SvelteMap } from 'svelte/reactivity';

import { Client } from '../api/client';
import type { ClusterEvent, HistoryAnswer, StatusAnswer } from '../api/types';
import { Link } from './link';
import type { ClusterPlace, NodePlace } from './place';
import { addHistory, lastKnown, LIVE, LONG, pointOf, rateBetween, RECENT_STEPS, Series, totals } from './series';
import { entryOf, withEntry, type Entry, type Weight } from './timeline';
import { bestView, isFresh, type View } from './view';

/** How often the page looks whether what it knows got old. */
const TICK_MS = 500;
/** A page that nobody sees gives up its streams after this long: a browser opens six connections to a node, for all tabs together. */
const UNSEEN_MS = 30_000;
/** How long streams may take to open. */
const SETTLING_MS = 5000;
/** A node is lost after this long a silence already, if the others say that it does not answer them either. */
const MISSED_MS = 1200;
/** How often nodes are asked for what they did, and how long that may take. */
const HISTORY_EVERY_MS = 10_000;
const HISTORY_PATIENCE_MS = 3000;

export class Live {
  readonly place: ClusterPlace;
  readonly client: Client;
  /** Requests and latencies, every second and every ten. They are not watched: `now` changes as often as they do. */
  readonly live = new Series(LIVE);
  readonly long = new Series(LONG);

  /** By the nodes' ids. */
  readonly views = new SvelteMap<string, View>();
  readonly connected = new SvelteMap<string, boolean>();
  timeline = $state.raw<Entry[]>([]);
  /** Milliseconds since 1970, as of the last look. */
  now = $state(Date.now());

  /** Whose word is shown. */
  readonly best = $derived(bestView([...this.views.values()], this.now));
  readonly status: StatusAnswer | null = $derived(this.best?.status ?? null);
  /** Whether any node tells of itself at the moment. */
  readonly isLive = $derived(this.best !== null && isFresh(this.best, this.now));
  /** Whether drills are allowed on some node. */
  readonly allowsDrills = $derived([...this.views.values()].some((view) => view.status.fault_injection));

  /** Things that go on and have to be told of even while nobody sees the page. */
  needs = 0;

  readonly #links: Link[];
  readonly #totals = new Map<string, { at: number; total: number }>();
  #isOpen = false;
  #openedAt = 0;
  #seenAt = Date.now();

  constructor(place: ClusterPlace) {
    this.place = place;
    this.client = new Client({
      order: (needsQuorum) => this.#order(needsQuorum),
      isLost: (id) => this.isLost(id),
      silentMs: () => this.#silentMs(),
    });
    this.#links = place.nodes.map((node) => new Link(node, this.#listener(node)));
  }

  start(): void {
    this.#open();
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => {
      if (this.#isOpen) void this.#readHistories();
    }, HISTORY_EVERY_MS);
    document.addEventListener('visibilitychange', () => this.#tick());
  }

  #tick(): void {
    this.now = Date.now();
    if (!document.hidden || this.needs > 0 || this.client.underWay > 0) this.#seenAt = this.now;
    const isSeen = this.now - this.#seenAt < UNSEEN_MS;
    if (isSeen && !this.#isOpen) this.#open();
    if (!isSeen && this.#isOpen) this.#close();
  }

  #open(): void {
    this.#isOpen = true;
    this.#openedAt = Date.now();
    for (const link of this.#links) link.open();
    void this.#readHistories();
  }

  #close(): void {
    this.#isOpen = false;
    for (const link of this.#links) link.close();
  }

  /** Whether a node's own stream is silent while that of another one is not. */
  isLost(id: string): boolean {
    const now = Date.now();
    const isHeard = (node: string) => {
      const view = this.views.get(node);
      return view !== undefined && isFresh(view, now);
    };
    // Streams that were opened just now have not had the time to tell.
    if (now - this.#openedAt < SETTLING_MS) return false;
    // Other nodes notice sooner: they probe it twenty times a second.
    const silentMs = now - (this.views.get(id)?.heardAt ?? 0);
    const isMissed = this.status?.nodes.find((node) => node.id === id)?.healthy === false;
    if (isMissed && silentMs > MISSED_MS) return this.best?.status.node_id !== id;
    return !isHeard(id) && this.place.nodes.some((node) => isHeard(node.id));
  }

  /** Milliseconds since any node was heard, or since streams were opened. */
  #silentMs(): number {
    const heardAt = Array.from(this.views.values(), (view) => view.heardAt);
    return Date.now() - Math.max(this.#openedAt, ...heardAt);
  }

  /** Requests a second of a node now; null where it did not tell. The newest value of the plots. */
  rateOf(id: string): number | null {
    return lastKnown(this.#ratesNow([id])[0] ?? []);
  }

  /** Requests a second of all nodes together. */
  totalRate(): number | null {
    return lastKnown(totals(this.#ratesNow(this.place.nodes.map((node) => node.id))));
  }

  /** The end of the newest step that every node can have told of, in milliseconds since 1970. */
  get newestStep(): number {
    return Math.floor(this.now / LIVE.stepMs) * LIVE.stepMs - LIVE.stepMs;
  }

  #ratesNow(ids: string[]): (number | null)[][] {
    const until = this.newestStep;
    return this.live.columns(ids, until - RECENT_STEPS * LIVE.stepMs, until, (point) => point.rate).columns;
  }

  allowsDrillsOn(id: string): boolean {
    return this.views.get(id)?.status.fault_injection ?? false;
  }

  /** What the page itself did or noticed, now or when it began. */
  note(text: string, weight: Weight, at = Date.now()): void {
    this.#add({ key: `page ${at} ${text}`, same: `page ${at} ${text}`, at, text, weight, seenBy: [], marks: weight === 'drill' });
  }

  /** Healthy nodes first, of those the one that served the page; a node that is not heard comes last but is not left out. */
  #order(needsQuorum: boolean): NodePlace[] {
    const rank = (node: NodePlace) => {
      const view = this.views.get(node.id);
      const isHeard = view !== undefined && isFresh(view, Date.now());
      // A node that a drill pauses tells of itself and does nothing else; the others say that it does not answer.
      const isHealthy = this.status?.nodes.find((other) => other.id === node.id)?.healthy ?? true;
      const isFit = isHeard && isHealthy && (!needsQuorum || view.status.quorum);
      return (isFit ? 0 : isHeard ? 2 : 4) + (node.id === this.place.servedBy ? 0 : 1);
    };
    return this.place.nodes.toSorted((a, b) => rank(a) - rank(b));
  }

  #listener(node: NodePlace) {
    return {
      status: (status: StatusAnswer) => this.#hear(node.id, status),
      event: (event: ClusterEvent) => {
        const entry = entryOf(event);
        if (entry) this.#add(entry);
      },
      connected: (isConnected: boolean) => {
        const isFirst = !this.connected.has(node.id);
        this.connected.set(node.id, isConnected);
        if (!isConnected && isFirst) this.note(`This page does not reach ${node.id}`, 'bad');
        else if (!isConnected) this.note(`This page lost its connection to ${node.id}`, 'bad');
        else if (!isFirst) this.note(`This page is connected to ${node.id} again`, 'good');
      },
    };
  }

  #hear(id: string, status: StatusAnswer): void {
    const at = Date.now();
    this.now = at;
    this.views.set(id, { status, heardAt: at });
    const node = status.nodes.find((other) => other.id === id);
    if (node?.requests_total == null) return;
    const before = this.#totals.get(id);
    // Events bring a status too: a rate over a few milliseconds would say nothing.
    if (before && at - before.at < LIVE.stepMs / 2) return;
    const reading = { at, total: node.requests_total };
    this.live.set(id, at, pointOf(node, rateBetween(before, reading)));
    this.#totals.set(id, reading);
  }

  #add(entry: Entry): void {
    this.timeline = withEntry(this.timeline, entry);
  }

  async #readHistories(): Promise<void> {
    await Promise.allSettled(
      this.place.nodes.map(async (node) => {
        const since = this.long.newest(node.id);
        const path = `/cluster/history${since === null ? '' : `?since=${since - 1}`}`;
        const options = { patienceMs: HISTORY_PATIENCE_MS };
        const answer = await this.client.callNode(node, { method: 'GET', path }, options);
        const history = JSON.parse(await answer.body.text()) as HistoryAnswer;
        addHistory(this.long, history);
        const recent = Date.now() - LIVE.stepMs * LIVE.kept;
        addHistory(this.live, { ...history, points: history.points.filter((point) => point.at_ms > recent) });
      }),
    );
  }
}
