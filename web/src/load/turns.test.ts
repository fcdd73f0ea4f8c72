import { expect, test } from 'vitest';

import { Turns } from './turns';

const NODES = ['n1', 'n2', 'n3'];
const spread = (turns: Turns, nowMs: number, count = 6) =>
  Array.from({ length: count }, () => turns.next(nowMs)).sort().join(' ');

test('every node has its turn', () => {
  expect(spread(new Turns(NODES, () => false), 0)).toBe('n1 n1 n2 n2 n3 n3');
});

test('a node that is lost or failed is passed over until it is back', () => {
  const lost = new Set(['n3']);
  const turns = new Turns(NODES, (id) => lost.has(id));
  expect(spread(turns, 0)).toBe('n1 n1 n1 n2 n2 n2');
  turns.rest('n1', 0);
  expect(spread(turns, 999)).toBe('n2 n2 n2 n2 n2 n2');
  lost.clear();
  expect(spread(turns, 1000)).toBe('n1 n1 n2 n2 n3 n3');
});

test('with no node that seems fit, all are tried', () => {
  expect(spread(new Turns(NODES, () => true), 0)).toBe('n1 n1 n2 n2 n3 n3');
});
