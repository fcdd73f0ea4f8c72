import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Client, type Knowledge } from './client';
import { Problem } from './problem';

const NODES = ['n1', 'n2', 'n3'].map((id) => ({ id, origin: `http://${id}` }));

/** What a node does with a request: an answer, silence, or a connection that breaks before or after the request was sent. */
type Deed = { status: number; body?: unknown; afterMs?: number } | 'hangs' | 'refuses' | 'breaks';

let deeds: (node: string) => Deed = () => ({ status: 200 });
let asked: string[] = [];
/** What the nodes were told of how long they may take, in milliseconds. */
let allowed: number[] = [];

/** As much of a browser's XMLHttpRequest as the client uses. */
class FakeCall {
  upload: { onprogress?: (event: object) => void; onload?: () => void } = {};
  onload?: () => void;
  onerror?: () => void;
  onabort?: () => void;
  status = 0;
  response: Blob | null = null;
  #url = '';
  #answering?: ReturnType<typeof setTimeout>;

  open(_method: string, url: string): void {
    this.#url = url;
  }
  setRequestHeader(name: string, value: string): void {
    if (name === 'x-steg-timeout-ms') allowed.push(Number(value));
  }
  getResponseHeader(): null {
    return null;
  }
  send(): void {
    const node = new URL(this.#url).hostname;
    asked.push(node);
    const deed = deeds(node);
    queueMicrotask(() => {
      if (deed === 'hangs') return;
      if (deed !== 'refuses') {
        this.upload.onprogress?.({ loaded: 2, total: 2 });
        this.upload.onload?.();
      }
      if (typeof deed === 'string') return this.onerror?.();
      const { status, body, afterMs = 0 } = deed;
      this.#answering = setTimeout(() => {
        this.status = status;
        this.response = new Blob([JSON.stringify(body ?? {})]);
        this.onload?.();
      }, afterMs);
    });
  }
  abort(): void {
    clearTimeout(this.#answering);
    queueMicrotask(() => this.onabort?.());
  }
}

const refusal = (status: number, code: string): Deed => ({
  status,
  body: { title: code, status, detail: code, code },
});
const write = { method: 'PUT', path: '/x', body: '{}' } as const;

function client(knowledge: Partial<Knowledge> = {}): Client {
  return new Client({ order: () => NODES, isLost: () => false, silentMs: () => 0, ...knowledge });
}

async function failure(call: Promise<unknown>): Promise<string> {
  const rejected = call.then(
    () => 'none',
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );
  await vi.advanceTimersByTimeAsync(200_000);
  return rejected;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('XMLHttpRequest', FakeCall);
  asked = [];
  allowed = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a node that refuses for itself alone is passed over, one that refuses for all is not', async () => {
  deeds = (node) => (node === 'n1' ? 'refuses' : node === 'n2' ? refusal(503, 'draining') : { status: 200 });
  const answer = client().call({ method: 'GET', path: '/x' });
  await vi.advanceTimersByTimeAsync(10);
  expect((await answer).node).toBe('n3');
  expect(asked).toEqual(['n1', 'n2', 'n3']);

  asked = [];
  deeds = () => refusal(413, 'capacity_exceeded');
  expect(await failure(client().call(write))).toBe('capacity_exceeded');
  expect(asked).toEqual(['n1']);
});

test('a node that hangs is left once it is known to be lost', async () => {
  let isLost = false;
  deeds = (node) => (node === 'n1' ? 'hangs' : { status: 200 });
  const answer = client({ isLost: (id) => isLost && id === 'n1' }).call(write);
  await vi.advanceTimersByTimeAsync(3000);
  expect(asked).toEqual(['n1']);
  isLost = true;
  await vi.advanceTimersByTimeAsync(500);
  expect((await answer).node).toBe('n2');
});

test('a change that may have been made is never told as one that was not', async () => {
  let isFirst = true;
  deeds = () => {
    const deed: Deed = isFirst ? 'breaks' : refusal(503, 'no_quorum');
    isFirst = false;
    return deed;
  };
  expect(await failure(client().call(write, { needsQuorum: true }))).toBe('outcome_unknown');
  // Who may do what says nothing of what was done elsewhere; what the nodes agreed on does.
  isFirst = true;
  deeds = () => (isFirst ? ((isFirst = false), 'breaks') : refusal(401, 'token_required'));
  expect(await failure(client().call(write, { needsQuorum: true }))).toBe('outcome_unknown');
  isFirst = true;
  deeds = () => (isFirst ? ((isFirst = false), 'breaks') : refusal(412, 'version_mismatch'));
  expect(await failure(client().call(write, { needsQuorum: true }))).toBe('version_mismatch');
  // Where nothing was sent, nothing was done.
  deeds = (node) => (node === 'n1' ? 'refuses' : refusal(503, 'no_quorum'));
  expect(await failure(client().call(write, { needsQuorum: true }))).toBe('no_quorum');
});

test('a node that takes its time to refuse is waited for, and told how long it may take', async () => {
  for (let afterMs = 100; afterMs < 3000; afterMs += 100) {
    allowed = [];
    const refused = refusal(503, 'no_quorum') as object;
    deeds = (node) => {
      if (node !== 'n1') return 'refuses';
      return { ...refused, afterMs: Math.min(afterMs, allowed.at(-1) ?? Infinity) } as Deed;
    };
    const started = performance.now();
    const call = client().call(write, { needsQuorum: true });
    const ended = call.catch(() => performance.now() - started);
    expect(await failure(call), `each refusal takes ${afterMs} ms`).toBe('no_quorum');
    expect(await ended).toBeLessThan(7000);
    expect(Math.min(...allowed)).toBeGreaterThanOrEqual(500);
  }
});

test('a call that all refuse ends, however often it was sent', async () => {
  deeds = () => refusal(503, 'no_quorum');
  const started = performance.now();
  const ended = client().call(write, { needsQuorum: true }).catch(() => performance.now() - started);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await ended).toBeLessThan(20_000);
});

test('where every node is dead, files are not sent again and again: the call ends within seconds', async () => {
  const endsAfter = async (knowledge: Partial<Knowledge> = {}) => {
    const body = new FormData();
    body.set('file', new File(['x'], 'report.pdf'));
    const started = performance.now();
    const ended = client(knowledge)
      .call({ method: 'POST', path: '/x', body })
      .then(
        () => ['answered'],
        (error: Problem) => [error.code, error.message, performance.now() - started] as const,
      );
    await vi.advanceTimersByTimeAsync(200_000);
    return ended;
  };
  deeds = () => 'refuses';
  const [code, message, ms] = await endsAfter();
  expect(code).toBe('no_node_answers');
  expect(message).toBe('n1, n2, n3 have not answered for 4 s');
  expect(ms).toBeLessThan(5000);
  // Packets that nobody answers: known by the silence of all streams.
  deeds = () => 'hangs';
  const hung = await endsAfter({ silentMs: () => Infinity });
  expect(hung[0]).toBe('no_node_answers');
  expect(hung[2]).toBeLessThan(10_000);
  // A node that restarts meanwhile is waited for.
  const started = performance.now();
  deeds = () => (performance.now() - started < 3000 ? 'refuses' : { status: 200 });
  expect(await endsAfter()).toEqual(['answered']);
});

test('what a node said counts more than that others said nothing', async () => {
  deeds = (node) => (node === 'n2' ? refusal(503, 'overloaded') : 'refuses');
  expect(await failure(client().call(write))).toBe('overloaded');
  deeds = () => 'refuses';
  expect(await failure(client().call(write))).toBe('no_node_answers');
});

test('it ends when it is stopped, and when its time is over', async () => {
  deeds = () => 'hangs';
  const stopping = new AbortController();
  const stopped = failure(client().call(write, { signal: stopping.signal }));
  stopping.abort();
  expect(await stopped).toBe('stopped');
  expect(await failure(client().call(write, { patienceMs: 1000 }))).toBe('too_slow');
});

test('a file that changed since it was chosen is not the fault of the nodes', async () => {
  deeds = () => 'refuses';
  const body = new FormData();
  const file = new File(['x'], 'report.pdf');
  body.set('file', file);
  const part = body.get('file') as File;
  vi.spyOn(Blob.prototype, 'arrayBuffer').mockRejectedValue(new DOMException('gone', 'NotReadableError'));
  expect(part.name).toBe('report.pdf');
  expect(await failure(client().call({ method: 'POST', path: '/x', body }))).toBe('file_changed');
  vi.restoreAllMocks();
});
