import { describe, expect, test } from 'vitest';

import type { ClusterEvent } from '../api/types';
import { entryOf, withEntry, type Entry } from '../cluster/timeline';
import { leaderChanges } from './leaders';

type Kind = ClusterEvent extends infer Event ? (Event extends ClusterEvent ? Omit<Event, 'id' | 'at_ms' | 'node'> : never) : never;

/** The timeline of what nodes told: when, which one, what. */
function timeline(...told: [number, string, Kind][]): Entry[] {
  const entries = told.map(([at, node, kind], id) => entryOf({ id, at_ms: at, node, ...kind } as ClusterEvent));
  return entries.reduce<Entry[]>((list, entry) => (entry ? withEntry(list, entry) : list), []);
}

const leads = (leader: string | null, term: number): Kind => ({ kind: 'leader', leader_id: leader, term });
const suspects = (peer: string): Kind => ({ kind: 'suspicion', peer, evidence: 'unanswered' });
const drill = (action: string): Kind => ({ kind: 'drill', action });

describe('a change of leader', () => {
  const check = (entries: Entry[], expected: [number, string, number | null][]) =>
    expect(leaderChanges(entries, 'n1').map(({ at, leader, withoutLeaderMs }) => [at, leader, withoutLeaderMs])).toEqual(expected);

  test('counts from the drill on the one before', () => {
    const entries = timeline(
      [5096, 'n1', drill('pause')],
      [5281, 'n3', suspects('n1')],
      [5306, 'n2', leads('n2', 2)],
      [5306, 'n2', leads(null, 2)],
      [5307, 'n3', leads('n2', 2)],
      // The old one, cut off, finds out on its own.
      [5913, 'n1', leads(null, 1)],
      [11_241, 'n1', drill('restore')],
    );
    check(entries, [[5306, 'n2', 210]]);
  });

  test('that is handed over counts from when a vote begins', () => {
    const first: [number, string, Kind] = [10, 'n2', leads('n2', 2)];
    check(timeline(first, [12_265, 'n1', leads(null, 3)], [12_266, 'n3', leads('n3', 3)]), [
      [10, 'n2', null],
      [12_266, 'n3', 1],
    ]);
  });

  test('without a majority counts from when the leader stepped down', () => {
    const entries = timeline([1000, 'n1', leads(null, 1)], [90_000, 'n1', leads('n1', 2)]);
    check(entries, [[90_000, 'n1', 89_000]]);
  });

  test('is not what a node sees that is cut off, nor what a false alarm says', () => {
    const entries = timeline(
      [100, 'n1', leads('n1', 1)],
      [1000, 'n3', leads(null, 1)],
      [2000, 'n3', suspects('n1')],
      [60_000, 'n2', suspects('n1')],
      [60_050, 'n2', leads('n2', 2)],
    );
    check(entries, [[100, 'n1', null], [60_050, 'n2', 50]]);
  });

  test('is none where nothing changed', () => check(timeline([1, 'n2', drill('pause')]), []));
});
