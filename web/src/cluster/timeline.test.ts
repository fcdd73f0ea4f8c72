import { expect, test } from 'vitest';

import type { ClusterEvent } from '../api/types';
import { entryOf, withEntry, type Entry } from './timeline';

const leads = (node: string, at: number, leader: string | null, term: number): ClusterEvent => ({
  id: at,
  at_ms: at,
  node,
  kind: 'leader',
  leader_id: leader,
  term,
});

const timeline = (...events: ClusterEvent[]) =>
  events.reduce<Entry[]>((entries, event) => {
    const entry = entryOf(event);
    return entry ? withEntry(entries, entry) : entries;
  }, []);

test('an election that all nodes saw stands there once, at its earliest, with who saw it', () => {
  const entries = timeline(leads('n2', 120, 'n2', 5), leads('n3', 100, 'n2', 5), leads('n2', 120, 'n2', 5));
  expect(entries).toHaveLength(1);
  expect(timeline(leads('n1', 100, null, 3), leads('n1', 60_000, null, 3))).toHaveLength(2);
  // Who hears of it late hears of the same election.
  expect(timeline(leads('n1', 100, 'n1', 3), leads('n3', 60_000, 'n1', 3))).toHaveLength(1);
  expect(timeline(leads('n1', 9000, null, 3), leads('n2', 5000, null, 3), leads('n3', 1000, null, 3), leads('n1', 9000, null, 3))).toHaveLength(1);
  expect(entries[0]).toMatchObject({ at: 100, seenBy: ['n2', 'n3'], text: 'n2 leads (term 5)', marks: true });
});

test('the newest stands first, whichever node told it when', () => {
  const entries = timeline(leads('n1', 300, null, 2), leads('n2', 100, 'n1', 1), leads('n3', 200, 'n2', 2));
  expect(entries.map((entry) => entry.at)).toEqual([300, 200, 100]);
});

test('who follows is no news, who stands for election is', () => {
  const role = (name: 'Follower' | 'Candidate'): ClusterEvent => ({ id: 1, at_ms: 1, node: 'n1', kind: 'role', role: name, term: 1 });
  expect(entryOf(role('Follower'))).toBeNull();
  expect(entryOf(role('Candidate'))?.text).toBe('n1 stands for election (term 1)');
});

test('no more than 500 are kept', () => {
  const events = Array.from({ length: 600 }, (_, i) => leads('n1', i, 'n1', i));
  const entries = timeline(...events);
  expect(entries).toHaveLength(500);
  expect(entries[499]?.at).toBe(100);
});
