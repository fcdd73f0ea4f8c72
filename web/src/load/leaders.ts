/** How leadership moved, from what the nodes told. */

import type { Entry } from '../cluster/timeline';

export interface LeaderChange {
  /** Milliseconds since 1970. */
  at: number;
  leader: string;
  /** How long nobody led before; null where no node told of such a time. */
  withoutLeaderMs: number | null;
}

/** The changes among the entries, in whatever order those are; the oldest change first. */
export function leaderChanges(entries: readonly Entry[]): LeaderChange[] {
  const changes: LeaderChange[] = [];
  let noneSince: number | null = null;
  for (const { at, leader } of entries.toSorted((a, b) => a.at - b.at)) {
    if (leader === undefined) continue;
    if (leader === null) {
      noneSince ??= at;
      continue;
    }
    changes.push({ at, leader, withoutLeaderMs: noneSince === null ? null : at - noneSince });
    noneSince = null;
  }
  return changes;
}
