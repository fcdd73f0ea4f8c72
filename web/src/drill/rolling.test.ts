import { expect, test } from 'vitest';

import type { StatusAnswer } from '../api/types';
import { isBack, rollingRestart, type World } from './rolling';

/** Three nodes that need `backAfterMs` to come back, on a clock that only sleeping moves. */
function world(backAfterMs: (id: string) => number, leader = 'n1'): World & { restarted: string[]; at: number } {
  const seen = {
    ids: ['n1', 'n2', 'n3'],
    restarted: [] as string[],
    at: 0,
    leader: () => leader,
    restart: async (id: string) => {
      seen.restarted.push(id);
      // The leader's followers elect another one.
      if (id === leader) leader = seen.ids.find((other) => other !== id) ?? '';
    },
    isBack: (id: string, since: number) => seen.at - since >= backAfterMs(id),
    now: () => seen.at,
    sleep: async (ms: number) => void (seen.at += ms),
    tell: () => {},
    isStopped: () => false,
  };
  return seen;
}

test('every node is restarted once, the leader last, each when the one before is back', async () => {
  const seen = world(() => 3000);
  expect(await rollingRestart(seen)).toEqual(['n2', 'n3', 'n1']);
  expect(seen.restarted).toEqual(['n2', 'n3', 'n1']);
  expect(seen.at).toBe(3 * 3000 + 2 * 1000);
});

test('it ends at a node that does not come back, with the others up', async () => {
  const seen = world((id) => (id === 'n3' ? Infinity : 500), 'n2');
  await expect(rollingRestart(seen)).rejects.toThrow('n3 was restarted and not every node was healthy within 60 s; n2 was not restarted');
  expect(seen.restarted).toEqual(['n1', 'n3']);
});

test('it stops between two nodes', async () => {
  const seen = world(() => 500);
  seen.isStopped = () => seen.restarted.length === 1;
  expect(await rollingRestart(seen)).toEqual(['n2']);
});

test('a node is back by its own uptime, and only with every node healthy under a leader', () => {
  const status = (uptime: number, change: object = {}) =>
    ({ quorum: true, leader_id: 'n1', nodes: [{ id: 'n1', healthy: true, uptime_s: 900 }, { id: 'n2', healthy: true, uptime_s: uptime }], ...change }) as unknown as StatusAnswer;
  expect(isBack(status(2), 'n2', 10_000, 13_000)).toBe(true);
  // Heard before it stopped.
  expect(isBack(status(500), 'n2', 10_000, 13_000)).toBe(false);
  expect(isBack(status(2, { leader_id: null }), 'n2', 10_000, 13_000)).toBe(false);
  expect(isBack(status(2, { quorum: false }), 'n2', 10_000, 13_000)).toBe(false);
  expect(isBack(status(2, { nodes: [{ id: 'n1', healthy: false }, { id: 'n2', healthy: true, uptime_s: 2 }] }), 'n2', 10_000, 13_000)).toBe(false);
});
