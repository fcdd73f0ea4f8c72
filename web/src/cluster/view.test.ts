import { expect, test } from 'vitest';

import type { StatusAnswer } from '../api/types';
import { behindLeader, bestView, FRESH_MS, healthOf } from './view';

const status = (node: string, quorum: boolean, term: number): StatusAnswer =>
  ({ node_id: node, quorum, term, leader_id: 'n1', nodes: [{ id: 'n1', last_log_index: 12 }, { id: 'n2', last_log_index: 7 }] }) as StatusAnswer;

test('a quorum counts more than a term, a term more than the order, and silence nothing', () => {
  const now = 100_000;
  const view = (node: string, quorum: boolean, term: number, age = 0) => ({ status: status(node, quorum, term), heardAt: now - age });
  const best = (...views: ReturnType<typeof view>[]) => bestView(views, now)?.status.node_id;
  expect(best(view('n1', true, 3), view('n2', true, 3))).toBe('n1');
  expect(best(view('n1', true, 3), view('n2', true, 4))).toBe('n2');
  expect(best(view('n1', true, 3), view('n2', false, 9))).toBe('n1');
  expect(best(view('n1', true, 9, FRESH_MS), view('n2', false, 3))).toBe('n2');
  expect(best(view('n1', true, 3, 9000), view('n2', true, 3, 8000))).toBe('n2');
  expect(bestView([], now)).toBeNull();
});

test('how far a node is behind is told where both are known', () => {
  expect(behindLeader(status('n1', true, 1), 'n2')).toBe(5);
  expect(behindLeader(status('n1', true, 1), 'n1')).toBe(0);
  expect(behindLeader(status('n1', true, 1), 'n9')).toBeNull();
});

test('a node that is not healthy shows why', () => {
  expect(healthOf({ healthy: true, health: 'ok' })).toBe('healthy');
  expect(healthOf({ healthy: true, health: 'not_voting' })).toBe('not voting');
  expect(healthOf({ healthy: false, health: 'silent' })).toBe('no answer');
  expect(healthOf({ healthy: false, health: 'storage_failed' })).toBe('storage failed');
  expect(healthOf({ healthy: false })).toBe('no answer');
});
