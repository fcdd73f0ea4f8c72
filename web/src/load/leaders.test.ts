import { expect, test } from 'vitest';

import type { Entry } from '../cluster/timeline';
import { leaderChanges } from './leaders';

const entry = (at: number, leader?: string | null): Entry => ({
  key: `${at}`,
  at,
  text: '',
  weight: 'plain',
  seenBy: ['n1'],
  marks: leader !== undefined,
  ...(leader === undefined ? {} : { leader }),
});

test('the time without a leader is from the first word of it to the next leader', () => {
  const entries = [entry(900, 'n3'), entry(520, 'n2'), entry(450, null), entry(400), entry(200, null), entry(100)];
  expect(leaderChanges(entries)).toEqual([
    { at: 520, leader: 'n2', withoutLeaderMs: 320 },
    { at: 900, leader: 'n3', withoutLeaderMs: null },
  ]);
});

test('without a change there is none', () => {
  expect(leaderChanges([entry(1), entry(2, null)])).toEqual([]);
});
