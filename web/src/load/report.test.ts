import { expect, test } from 'vitest';

import { entryOf, type Entry } from '../cluster/timeline';
import { defaultOptions } from './plan';
import { remarksOf, reportOf, verdictOf, type Course } from './report';
import { Failure, type Done } from './requester';
import { Stats } from './stats';

const STARTED_AT = Date.UTC(2026, 0, 2, 3, 4, 5);
const done: Done = {
  node: 'n1',
  retried: [],
  latencyMs: 1,
  answeredAt: 0,
  answerBytes: 50,
  isExtracted: false,
  failure: null,
};
/** What n2 tells of the leadership. */
const entry = (after: number, leader: string | null, term: number): Entry =>
  entryOf({ id: after, at_ms: STARTED_AT + after, node: 'n2', kind: 'leader', leader_id: leader, term }) as Entry;

function stats(failures: number): Stats {
  const counted = new Stats(['n1', 'n2']);
  for (const latencyMs of [1, 2, 3]) counted.record({ ...done, latencyMs, retried: latencyMs === 3 ? ['n2'] : [] }, 1000);
  for (let made = 0; made < failures; made += 1) {
    counted.record({ ...done, failure: new Failure('mismatch', 'n1 gave other bytes') }, 2000);
  }
  return counted;
}

const course = (changed: Partial<Course> = {}): Course => ({
  options: { ...defaultOptions(2), mode: 'roundtrip', clients: 2, requestsPerClient: 2 },
  startedAt: STARTED_AT,
  isInterrupted: false,
  notSent: 0,
  cutOff: 0,
  wasHidden: false,
  leader: 'n1',
  term: 0,
  entries: [],
  ...changed,
});

test('the report has the members that loadgen has', () => {
  const entries = [entry(700, 'n2', 2), entry(400, null, 2)];
  const report = reportOf(stats(1), course({ entries }));
  expect(report).toMatchObject({
    total: 4,
    succeeded: 3,
    failed: 1,
    errors: { mismatch: 1 },
    error_examples: { mismatch: 'n1 gave other bytes' },
    duration_s: 2,
    throughput_rps: 1.5,
    per_node: {
      n1: { requests: 4, succeeded: 3, failed: 1, retried: 0 },
      n2: { requests: 0, succeeded: 0, failed: 0, retried: 1 },
    },
    planned: 4,
    num_clients: 2,
    intended_rate: null,
    retried: 1,
    mode: 'roundtrip',
    model: 'closed',
    started_at: '2026-01-02T03:04:05.000Z',
    leader_changes: [{ leader: 'n2', without_leader_ms: 300 }],
  });
  expect(Object.keys(report.latency_ms)).toEqual(['p50', 'p95', 'p99', 'p999', 'max']);
  expect(report.latency_ms.p50).toBeCloseTo(2, 1);
  expect(report.events.map(({ elapsed_s: elapsed, text }) => [elapsed, text])).toEqual([
    [0.4, 'No leader (term 2)'],
    [0.7, 'n2 leads (term 2)'],
  ]);
});

test('the words say what was lost and what was not', () => {
  const words = (failures: number, changed: Partial<Course> = {}) => {
    const report = reportOf(stats(failures), course(changed));
    return [verdictOf(report), ...remarksOf(report)];
  };
  expect(words(0)).toEqual([
    '3 of 3 requests succeeded, none lost.',
    '1 request was retried because a node did not do what it was asked.',
    'The leader did not change.',
    'Every secret that came back was compared byte for byte.',
  ]);
  expect(words(2)).toContain('2 answers held wrong bytes.');
  expect(words(2)[0]).toBe('3 of 5 requests succeeded, 2 failed.');
  const stopped = words(0, { isInterrupted: true, cutOff: 2, notSent: 7 });
  expect(stopped[0]).toBe('3 of 3 requests succeeded, 2 under way were cut off, 7 more were due and not sent.');
  expect(stopped[1]).toBe('The run was stopped after 3 of 4 requests.');
  const entries = [entry(1, null, 2), entry(321, 'n2', 2), entry(900, 'n1', 3)];
  expect(words(0, { entries })).toContain('The leader changed 2 times: n2 (after 320 ms without a leader), then n1.');
});

test('a run without an answer has no figures', () => {
  const report = reportOf(new Stats(['n1']), course());
  expect([report.total, report.throughput_rps, report.latency_ms.p50]).toEqual([0, 0, null]);
});
