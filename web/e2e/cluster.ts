/** Three real nodes on loopback, each a process of its own, which can be killed and started again. */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { StatusAnswer } from '../src/api/types';
import { until } from './wait';

const SERVER = process.env.STEG_SERVER ?? path.resolve(import.meta.dirname, '../../target/debug/server');
export const ADMIN_TOKEN = 'a-token-of-this-test-0123456789';

interface Place {
  id: string;
  httpPort: number;
  raftPort: number;
}

export class Cluster {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'console-'));
  readonly #places: Place[];
  readonly #running = new Map<string, ChildProcess>();

  private constructor(places: Place[], private readonly flags: string[], loopback: 'token' | 'trusted') {
    this.#places = places;
    const nodes = places.map(
      ({ id, httpPort, raftPort }) => `  - { id: ${id}, ip: 127.0.0.1, http_port: ${httpPort}, raft_port: ${raftPort} }`,
    );
    const token = path.join(this.#folder, 'admin.token');
    writeFileSync(token, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
    const security = `security: { admin_token_file: ${token}, loopback: ${loopback} }`;
    writeFileSync(this.#config, ['cluster_name: harbour', 'nodes:', ...nodes, security, ''].join('\n'));
  }

  /** A cluster in which one leads and all vote. */
  static async start(flags = ['--enable-fault-injection'], loopback: 'token' | 'trusted' = 'trusted'): Promise<Cluster> {
    const ports = await freePorts(6);
    const places = ['n1', 'n2', 'n3'].map((id, i) => ({ id, httpPort: ports[i] ?? 0, raftPort: ports[i + 3] ?? 0 }));
    const cluster = new Cluster(places, flags, loopback);
    for (const { id } of places) cluster.startNode(id);
    await cluster.settled();
    return cluster;
  }

  get #config(): string {
    return path.join(this.#folder, 'cluster.yaml');
  }

  get ids(): string[] {
    return this.#places.map(({ id }) => id);
  }

  get origins(): string[] {
    return this.ids.map((id) => this.origin(id));
  }

  origin(id: string): string {
    const place = this.#places.find((other) => other.id === id);
    if (!place) throw new Error(`there is no node ${id}`);
    return `http://127.0.0.1:${place.httpPort}`;
  }

  startNode(id: string): void {
    const log = openSync(this.#log(id), 'a');
    const data = path.join(this.#folder, id);
    const args = ['--node-id', id, '--config', this.#config, '--data-dir', data, ...this.flags];
    this.#running.set(id, spawn(SERVER, args, { stdio: ['ignore', log, log] }));
  }

  /** Starts the nodes that a test left down. */
  startMissing(): void {
    for (const id of this.ids) if (!this.#running.has(id)) this.startNode(id);
  }

  /** As kill -9 does; returns once the process is gone. */
  async kill(id: string): Promise<void> {
    const child = this.#running.get(id);
    this.#running.delete(id);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async status(id: string): Promise<StatusAnswer> {
    const answer = await fetch(`${this.origin(id)}/cluster/status`, { signal: AbortSignal.timeout(2000) });
    return (await answer.json()) as StatusAnswer;
  }

  /** Waits until all nodes that run agree on a leader, and all three vote. Gives its name. */
  async settled(): Promise<string> {
    return until('all nodes agree on a leader', async () => {
      const told = await Promise.all([...this.#running.keys()].map((id) => this.status(id)));
      const leaders = new Set(told.map((status) => status.leader_id));
      const isWhole = told.every((status) => status.quorum && status.voters.length === this.ids.length);
      const [leader] = leaders;
      return isWhole && leaders.size === 1 && leader ? leader : null;
    });
  }

  /** Moves leadership to another node: an event that every node tells. */
  async moveLeader(): Promise<void> {
    await until('leadership moves', async () => {
      const request = { method: 'POST', signal: AbortSignal.timeout(5000) };
      const answer = await fetch(`${this.origin('n1')}/cluster/leader-transfers`, request);
      return answer.ok || null;
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.ids.map((id) => this.kill(id)));
    if (!process.env.STEG_KEEP_LOGS) rmSync(this.#folder, { recursive: true, force: true });
  }

  log(id: string): string {
    return readFileSync(this.#log(id), 'utf8');
  }

  #log(id: string): string {
    return path.join(this.#folder, `${id}.log`);
  }
}

/** Ports that are free now; all are held until the last one is known, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const listener = createServer();
      await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
      return listener;
    }),
  );
  const ports = listeners.map((listener) => (listener.address() as { port: number }).port);
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}
