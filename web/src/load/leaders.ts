/** How leadership moved, from what the nodes told. */

import type { Entry } from '../cluster/timeline';

export interface LeaderChange {
  /** Milliseconds since 1970. */
  at: number;
  leader: string;
  /** Since the first sign that the one before was gone; null without such a sign. */
  withoutLeaderMs: number | null;
}

/** Drills after which a leader leads no more. */
const ENDS_LEADING = ['crash', 'pause', 'hang', 'partition', 'restart'];
/** A drill on the leader or a suspicion that nothing follows for this long was not what ended its time. */
const DOUBT_MS = 5000;

/** What is known between two entries. */
interface Standing {
  leader: string | null;
  term: number;
  /** Since when nobody leads, and since when that was to be expected. */
  goneAt: number | null;
  doubtedAt: number | null;
}

/**
 * The changes among the entries, in whatever order those are; the oldest change first. `leader` led before all of them, in
 * the term `before`. Times
 * are by the clocks of the nodes.
 */
export function leaderChanges(entries: readonly Entry[], leader: string | null, before = 0): LeaderChange[] {
  const standing: Standing = { leader, term: before, goneAt: null, doubtedAt: null };
  const changes: LeaderChange[] = [];
  // Within a millisecond, that nobody leads comes before who does.
  const rank = ({ event }: Entry) => Number(event?.kind === 'leader' && event.leader_id != null);
  for (const entry of entries.toSorted((a, b) => a.at - b.at || rank(a) - rank(b))) {
    const change = step(standing, entry);
    if (change) changes.push(change);
  }
  return changes;
}

function step(standing: Standing, { at, event, seenBy }: Entry): LeaderChange | null {
  if (event?.kind === 'leader' && event.leader_id != null) return lead(standing, at, event.leader_id, event.term);
  if (event?.kind === 'leader' && event.term >= standing.term) {
    // A node that is cut off sees nobody lead. It is true if the leader says so, or several do, or a vote has begun.
    const isTrue = seenBy.length > 1 || event.node === standing.leader || event.term > standing.term;
    if (isTrue) standing.goneAt ??= at;
  }
  const isDoubt =
    (event?.kind === 'suspicion' && event.peer === standing.leader) ||
    (event?.kind === 'drill' && event.node === standing.leader && ENDS_LEADING.includes(event.action));
  if (isDoubt && (standing.doubtedAt === null || at - standing.doubtedAt > DOUBT_MS)) standing.doubtedAt = at;
  return null;
}

function lead(standing: Standing, at: number, leader: string, term: number): LeaderChange | null {
  if (term <= standing.term) return null;
  const { goneAt, doubtedAt } = standing;
  const end = goneAt ?? at;
  const since = doubtedAt !== null && end - doubtedAt <= DOUBT_MS ? Math.min(doubtedAt, end) : goneAt;
  Object.assign(standing, { leader, term, goneAt: null, doubtedAt: null });
  return { at, leader, withoutLeaderMs: since === null ? null : at - since };
}
