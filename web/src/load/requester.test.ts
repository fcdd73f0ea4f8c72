import { expect, test } from 'vitest';

import type { Answer, Request } from '../api/attempt';
import type { CallOptions } from '../api/client';
import { Problem } from '../api/problem';
import { checkSame, Requester } from './requester';
import { Turns } from './turns';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const END = [0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82];
const SECRET = Uint8Array.from([1, 2, 3, 4, 5]);

/** A cluster whose images are a signature, the secret and an end; `spoil` changes an answer, or throws instead. */
class Cluster {
  readonly calls: { path: string; key: string; first: string }[] = [];
  /** The nodes that a call is sent to before one answers. */
  attempts: string[] = [];
  spoil: (bytes: number[], path: string) => number[] = (bytes) => bytes;
  size: string | null = null;

  async call({ path, body, headers }: Request, { first = '', onAttempt }: CallOptions = {}): Promise<Answer> {
    this.calls.push({ path, key: headers?.['idempotency-key'] ?? '', first });
    for (const node of [...this.attempts, first]) onAttempt?.(node);
    const form = await new Response(body as BodyInit, { headers: headers as HeadersInit }).formData();
    const file = new Uint8Array(await (form.get('file') as File).arrayBuffer());
    const made =
      path === '/api/embed'
        ? [...SIGNATURE, ...file, ...END]
        : [...file.slice(SIGNATURE.length, file.length - END.length)];
    const header = () => this.size ?? String(file.length);
    const bytes = Uint8Array.from(this.spoil(made, path)).buffer;
    return { node: first, status: 200, header, bytes, body: new Blob([bytes]) };
  }
}

function requesterOf(cluster: Cluster, stop = new AbortController()) {
  const turns = new Turns(['n1', 'n2', 'n3'], () => false);
  return new Requester(cluster, turns, { secret: () => SECRET, cover: null }, stop.signal);
}

test('an embed alone is one call; of ten of them one is extracted again', async () => {
  const cluster = new Cluster();
  const requester = requesterOf(cluster);
  const done = [];
  for (let turn = 0; turn < 20; turn += 1) done.push(await requester.perform('embed', performance.now()));
  expect(done.every((one) => one?.failure === null)).toBe(true);
  expect(done.filter((one) => one?.isExtracted)).toHaveLength(2);
  expect(cluster.calls.filter(({ path }) => path === '/api/extract')).toHaveLength(2);
  expect(new Set(cluster.calls.map(({ key }) => key)).size).toBe(22);
});

test('the two halves of a roundtrip meet different nodes', async () => {
  const cluster = new Cluster();
  const done = await requesterOf(cluster).perform('roundtrip', performance.now() - 1000);
  expect(cluster.calls.map(({ path }) => path)).toEqual(['/api/embed', '/api/extract']);
  expect(cluster.calls[0]?.first).not.toBe(cluster.calls[1]?.first);
  expect(done?.latencyMs, 'counted from when it was due').toBeGreaterThanOrEqual(1000);
});

test('extracts take the images that were prepared', async () => {
  const cluster = new Cluster();
  const requester = requesterOf(cluster);
  await requester.prepare(2);
  expect((await requester.perform('extract', 0))?.failure).toBeNull();
  expect(cluster.calls.map(({ path }) => path)).toEqual(['/api/embed', '/api/embed', '/api/extract']);
});

test('what is wrong with an answer is found', async () => {
  const check = async (kind: string, change: (cluster: Cluster) => void) => {
    const cluster = new Cluster();
    change(cluster);
    const done = await requesterOf(cluster).perform('roundtrip', 0);
    expect(done?.failure?.kind, done?.failure?.message).toBe(kind);
  };
  await check('mismatch', (cluster) => (cluster.spoil = (bytes, path) => (path === '/api/extract' ? [1, 2, 9, 4, 5] : bytes)));
  await check('mismatch', (cluster) => (cluster.spoil = (bytes, path) => (path === '/api/extract' ? [...bytes, 6] : bytes)));
  await check('bad_answer', (cluster) => (cluster.spoil = (bytes) => bytes.slice(1)));
  await check('bad_answer', (cluster) => (cluster.spoil = (bytes) => bytes.slice(0, -1)));
  await check('bad_answer', (cluster) => (cluster.spoil = () => []));
  await check('bad_answer', (cluster) => (cluster.size = '6'));
});

test('nodes that were asked in vain are told, and the one that decided', async () => {
  const cluster = new Cluster();
  cluster.attempts = ['n3', 'n2'];
  const done = await requesterOf(cluster).perform('embed', 0);
  expect(done?.retried).toEqual(['n3', 'n2']);
  expect(done?.node).toBe(cluster.calls[0]?.first);
});

test('a failure has the code of the problem, and what was cut off is no request', async () => {
  const stop = new AbortController();
  const cluster = new Cluster();
  cluster.spoil = () => {
    throw Problem.own('no_node_answers', 'No node answers', 'n1 cannot be reached');
  };
  const requester = requesterOf(cluster, stop);
  expect((await requester.perform('embed', 0))?.failure?.kind).toBe('no_node_answers');
  await expect(requester.prepare(1)).rejects.toThrow('n1 cannot be reached');
  stop.abort();
  expect(await requester.perform('embed', 0)).toBeNull();
});

test('a difference is located', () => {
  const check = (found: string, text: string) => {
    const bytes = (words: string) => new TextEncoder().encode(words);
    expect(() => checkSame(bytes(found), bytes('abcd'), 'n1')).toThrow(text);
  };
  check('abXd', 'different from byte 2 on');
  check('abc', '3 bytes for a secret of 4, different from byte 3 on');
  check('abcde', 'different from byte 4 on');
});
