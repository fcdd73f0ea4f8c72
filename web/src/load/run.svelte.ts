/** A run: when requests start, who sends them, and when all ends. */

import { asProblem, type Problem } from '../api/problem';
import type { Live } from '../cluster/live.svelte';
import type { Entry } from '../cluster/timeline';
import { randomBytes, smallCover } from './material';
import { MAX_DURATION_S, needsImages, placesOf, plannedOf, Schedule, taskOf, type Options } from './plan';
import { reportOf, throughput, type Report } from './report';
import { PREPARED_IMAGES, Requester } from './requester';
import type { Columns } from './seconds';
import { Stats, type ErrorCount, type Latency, type NodeCount } from './stats';
import { Turns } from './turns';

/** How often the figures that are shown change. */
const SHOW_EVERY_MS = 500;
/** An event of the run may have happened this long before it by the clock of another machine. */
const CLOCKS_DIFFER_MS = 2000;

export type Phase = 'idle' | 'preparing' | 'running' | 'stopping' | 'finished' | 'failed';

/** The figures at a moment. */
export interface Snapshot {
  planned: number;
  succeeded: number;
  failed: number;
  retried: number;
  late: number;
  underWay: number;
  elapsedMs: number;
  throughput: number;
  latency: Latency;
  perNode: [string, NodeCount][];
  errors: [string, ErrorCount][];
  columns: Columns;
}

export class LoadRun {
  phase = $state<Phase>('idle');
  options = $state.raw<Options | null>(null);
  snapshot = $state.raw<Snapshot | null>(null);
  report = $state.raw<Report | null>(null);
  /** Why it could not begin. */
  problem = $state.raw<Problem | null>(null);
  /** Milliseconds since 1970. */
  startedAt = $state(0);
  readonly isUnderWay = $derived(['preparing', 'running', 'stopping'].includes(this.phase));

  readonly #live: Live;
  #stats = new Stats([]);
  #underWay = 0;
  #sent = 0;
  #cutOff = 0;
  #wasHidden = false;
  #startMs = 0;
  /** When it was told to end, after the start. */
  #endedMs = 0;
  /** Entries of before the run, and who led then. */
  #known = new Set<string>();
  #leader: string | null = null;
  #term = 0;
  /** What happened during the run that has ended. */
  #entries: Entry[] = [];
  /** No more requests are to begin; those under way are waited for. */
  #ending = new AbortController();
  /** Those under way are cut off. */
  #cutting = new AbortController();

  constructor(live: Live) {
    this.#live = live;
  }

  async start(options: Options): Promise<void> {
    this.#reset(options);
    try {
      const requester = await this.#prepare(options);
      if (this.#ending.signal.aborted) {
        this.phase = 'idle';
        return;
      }
      await this.#drive(requester, options);
    } catch (thrown) {
      this.problem = this.#cutting.signal.aborted ? null : asProblem(thrown);
      this.phase = this.problem ? 'failed' : 'idle';
    }
  }

  /** Begins no more requests. A second time, those under way are cut off. */
  stop(): void {
    if (this.phase !== 'running') this.#cutting.abort();
    else this.#endedMs = this.#elapsedMs();
    this.#ending.abort();
    if (this.phase === 'running') this.phase = 'stopping';
  }

  /** What happened during the run, of what the nodes and this page told. */
  during(timeline: readonly Entry[]): Entry[] {
    if (this.report) return this.#entries;
    return timeline.filter(({ at, key }) => at >= this.startedAt - CLOCKS_DIFFER_MS && !this.#known.has(key));
  }

  #reset(options: Options): void {
    this.#stats = new Stats(this.#live.place.nodes.map((node) => node.id));
    this.#ending = new AbortController();
    this.#cutting = new AbortController();
    this.#underWay = this.#sent = this.#cutOff = 0;
    this.#wasHidden = false;
    this.options = options;
    this.snapshot = this.report = this.problem = null;
    this.phase = 'preparing';
  }

  async #prepare(options: Options): Promise<Requester> {
    const cover = options.cover === 'small' ? await smallCover() : null;
    const turns = new Turns([...this.#stats.perNode.keys()], (id) => this.#live.isLost(id));
    const material = { cover, secret: () => randomBytes(options.secretBytes) };
    const requester = new Requester(this.#live.client, turns, material, this.#cutting.signal);
    await requester.prepare(needsImages(options.mode) ? PREPARED_IMAGES : 1);
    return requester;
  }

  async #drive(requester: Requester, options: Options): Promise<void> {
    this.#known = new Set(this.#live.timeline.map((entry) => entry.key));
    this.#leader = this.#live.status?.leader_id ?? null;
    this.#term = this.#live.status?.term ?? 0;
    this.startedAt = Date.now();
    this.#startMs = performance.now();
    this.phase = 'running';
    this.#show();
    const shown = setInterval(() => this.#show(), SHOW_EVERY_MS);
    const end = setTimeout(() => this.phase === 'running' && this.stop(), MAX_DURATION_S * 1000);
    const schedule = new Schedule(options);
    const places = placesOf(options, this.#live.place.nodes.length);
    try {
      await Promise.all(Array.from({ length: places }, (_, place) => this.#send(place, schedule, requester)));
    } finally {
      clearInterval(shown);
      clearTimeout(end);
    }
    this.#finish(options, schedule);
  }

  /** One request after the other from one place: a client of the closed model, or a connection of the open one. */
  async #send(place: number, schedule: Schedule, requester: Requester): Promise<void> {
    const { mode, model } = this.options as Options;
    while (!this.#ending.signal.aborted) {
      const due = schedule.next(place, this.#elapsedMs());
      if (due === null) return;
      // Whoever waits for an arrival takes it before it is due: taken later, it had found no free place.
      const isLate = model === 'open' && this.#elapsedMs() > due + 1;
      await this.#wait(due);
      if (this.#ending.signal.aborted) return;
      this.#stats.late += Number(isLate);
      await this.#perform(requester, taskOf(mode, Math.random()), due);
    }
  }

  async #perform(requester: Requester, task: ReturnType<typeof taskOf>, due: number): Promise<void> {
    this.#sent += 1;
    this.#underWay += 1;
    const done = await requester.perform(task, this.#startMs + due);
    this.#underWay -= 1;
    if (done) this.#stats.record(done, done.answeredAt - this.#startMs);
    else this.#cutOff += 1;
  }

  /** Until a time after the start, or the end. */
  #wait(until: number): Promise<void> {
    const left = until - this.#elapsedMs();
    if (left <= 0) return Promise.resolve();
    const { signal } = this.#ending;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, left);
      signal.addEventListener('abort', done);
    });
  }

  #finish(options: Options, schedule: Schedule): void {
    const isInterrupted = this.#sent < plannedOf(options) || this.#cutOff > 0;
    this.#show();
    this.#entries = this.during(this.#live.timeline);
    this.report = reportOf(this.#stats, {
      options,
      startedAt: this.startedAt,
      isInterrupted,
      notSent: isInterrupted ? Math.max(schedule.dueBy(this.#endedMs) - this.#sent, 0) : 0,
      cutOff: this.#cutOff,
      wasHidden: this.#wasHidden,
      leader: this.#leader,
      term: this.#term,
      entries: this.#entries,
    });
    this.phase = 'finished';
  }

  #show(): void {
    const stats = this.#stats;
    const elapsedMs = this.#elapsedMs();
    this.#wasHidden ||= document.hidden;
    this.snapshot = {
      planned: plannedOf(this.options as Options),
      succeeded: stats.succeeded,
      failed: stats.failed,
      retried: stats.retried,
      late: stats.late,
      underWay: this.#underWay,
      elapsedMs,
      throughput: throughput(stats),
      latency: stats.latency(),
      perNode: [...stats.perNode].map(([id, node]) => [id, { ...node }]),
      errors: [...stats.errors].sort(([, a], [, b]) => b.count - a.count),
      columns: stats.seconds.columns(elapsedMs),
    };
  }

  #elapsedMs(): number {
    return performance.now() - this.#startMs;
  }
}
