/** The report of a run, for programs and in words. Members that `loadgen` has, too, have its names. */

import type { Entry } from '../cluster/timeline';
import { count, ms } from '../words';
import { leaderChanges } from './leaders';
import { plannedOf, type Mode, type Model, type Options } from './plan';
import type { Latency, NodeCount, Stats } from './stats';

/** What a run is besides its counts. */
export interface Course {
  options: Options;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** Whether it ended before all was sent. */
  isInterrupted: boolean;
  /** Requests that were due and were not sent before the end, and those that were cut off under way. */
  notSent: number;
  cutOff: number;
  /** Whether the tab was in the background for a time. */
  wasHidden: boolean;
  /** Who led when it began. */
  leader: string | null;
  /** The term at the beginning. */
  term: number;
  /** What happened meanwhile. */
  entries: readonly Entry[];
}

export interface Report {
  total: number;
  succeeded: number;
  failed: number;
  errors: Record<string, number>;
  /** From the start to the last answer. */
  duration_s: number;
  /** Succeeded requests a second. */
  throughput_rps: number;
  latency_ms: Latency;
  /** Each request counts for the node that decided it. */
  per_node: Record<string, NodeCount>;
  mode: Mode;
  planned: number;
  interrupted: boolean;
  num_clients: number | null;
  intended_rate: number | null;
  retries: number;
  secret_bytes: number;
  answer_bytes: number;
  error_examples: Record<string, string>;
  /** Requests of which some call was sent again. */
  retried: number;
  model: Model;
  started_at: string;
  late: number;
  not_sent: number;
  cut_off: number;
  /** Embeds whose image was extracted again and compared. */
  extracted_again: number;
  tab_was_hidden: boolean;
  options: Options;
  leader_changes: { at: string; leader: string; without_leader_ms: number | null }[];
  events: { at: string; elapsed_s: number; text: string; weight: string; seen_by: string[] }[];
}

export function reportOf(stats: Stats, course: Course): Report {
  const { options, startedAt, leader: first, term, entries } = course;
  const isOpen = options.model === 'open';
  const durationS = rounded(stats.lastAnswerMs / 1000);
  return {
    total: stats.succeeded + stats.failed,
    succeeded: stats.succeeded,
    failed: stats.failed,
    errors: ofErrors(stats, ({ count: number }) => number),
    duration_s: durationS,
    throughput_rps: throughput(stats),
    latency_ms: roundedLatency(stats.latency()),
    per_node: Object.fromEntries(stats.perNode),
    mode: options.mode,
    planned: plannedOf(options),
    interrupted: course.isInterrupted,
    num_clients: isOpen ? null : options.clients,
    intended_rate: isOpen ? options.rate : null,
    retries: stats.retries,
    secret_bytes: options.secretBytes,
    answer_bytes: stats.answerBytes,
    error_examples: ofErrors(stats, ({ example }) => example),
    retried: stats.retried,
    model: options.model,
    started_at: iso(startedAt),
    late: stats.late,
    not_sent: course.notSent,
    cut_off: course.cutOff,
    extracted_again: stats.extracted,
    tab_was_hidden: course.wasHidden,
    options,
    leader_changes: leaderChanges(entries, first, term).map(({ at, leader, withoutLeaderMs }) => ({
      at: iso(at),
      leader,
      without_leader_ms: withoutLeaderMs,
    })),
    events: entries
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, text, weight, seenBy }) => ({
        at: iso(at),
        elapsed_s: rounded((at - startedAt) / 1000),
        text,
        weight,
        seen_by: seenBy,
      })),
  };
}

/** Succeeded requests a second, from the start to the last answer. */
export function throughput({ succeeded, lastAnswerMs }: Stats): number {
  return lastAnswerMs > 0 ? rounded((succeeded * 1000) / lastAnswerMs) : 0;
}

/** What came of it, in one sentence. */
export function verdictOf(report: Report): string {
  const { succeeded, total, failed, cut_off: cutOff, not_sent: notSent } = report;
  const gone = [
    failed > 0 ? `${count(failed)} failed` : '',
    cutOff > 0 ? `${count(cutOff)} under way were cut off` : '',
    notSent > 0 ? `${count(notSent)} more were due and not sent` : '',
  ].filter((text) => text !== '');
  const lost = gone.length > 0 ? gone.join(', ') : 'none lost';
  return `${count(succeeded)} of ${count(total)} requests succeeded, ${lost}.`;
}

/** What else is to be said of it, a sentence each. */
export function remarksOf(report: Report): string[] {
  return [stopRemark(report), retryRemark(report), lateRemark(report), ...leaderRemarks(report), checkRemark(report), hiddenRemark(report)].filter(
    (text): text is string => text !== null,
  );
}

function stopRemark({ interrupted, total, planned }: Report): string | null {
  return interrupted ? `The run was stopped after ${count(total)} of ${count(planned)} requests.` : null;
}

function retryRemark({ retried, retries }: Report): string {
  if (retried === 0) return 'No request had to be retried.';
  const calls = retries > retried ? `, with ${count(retries)} more calls in all` : '';
  return `${plural(retried, 'request was', 'requests were')} retried because a node did not do what it was asked${calls}.`;
}

function lateRemark({ late, model }: Report): string | null {
  if (model === 'closed' || late === 0) return null;
  return `${plural(late, 'request', 'requests')} found no free connection when due; the wait is part of the latency.`;
}

function leaderRemarks({ leader_changes: changes }: Report): string[] {
  if (changes.length === 0) return ['The leader did not change.'];
  const one = ({ leader, without_leader_ms: without }: Report['leader_changes'][number]) =>
    `${leader}${without === null ? '' : ` (after ${ms(without)} without a leader)`}`;
  const times = changes.length === 1 ? 'once' : `${changes.length} times`;
  return [`The leader changed ${times}: ${changes.map(one).join(', then ')}.`];
}

function checkRemark({ mode, extracted_again: extracted, errors }: Report): string {
  const wrong = errors.mismatch ?? 0;
  if (wrong > 0) return `${plural(wrong, 'answer', 'answers')} held wrong bytes.`;
  if (mode === 'extract' || mode === 'roundtrip') return 'Every secret that came back was compared byte for byte.';
  return `${plural(extracted, 'image was', 'images were')} extracted again and compared byte for byte; of the others the form was checked.`;
}

function hiddenRemark({ tab_was_hidden: wasHidden }: Report): string | null {
  return wasHidden ? 'This tab was in the background for a time: browsers are slow there, which is in these figures.' : null;
}

function plural(number: number, one: string, many: string): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function ofErrors<T>(stats: Stats, pick: (error: { count: number; example: string }) => T): Record<string, T> {
  return Object.fromEntries([...stats.errors].map(([kind, error]) => [kind, pick(error)]));
}

function roundedLatency({ p50, p95, p99, p999, max }: Latency): Latency {
  const round = (value: number | null) => (value === null ? null : rounded(value));
  return { p50: round(p50), p95: round(p95), p99: round(p99), p999: round(p999), max: round(max) };
}

/** To three decimals. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
