/** Which node's word counts: each one tells the cluster as it sees it, and one that is cut off sees little. No clock in here. */

import type { NodeStatus, StatusAnswer } from '../api/types';

/** A node's word is that of now for this long. */
export const FRESH_MS = 3000;

export interface View {
  status: StatusAnswer;
  /** When it was heard, in milliseconds on the page's clock. */
  heardAt: number;
}

/**
 * The view to show: of those heard lately one that has a quorum, of those the one of the latest term, of those the first. Without
 * any, the one heard last.
 */
export function bestView(views: readonly View[], now: number): View | null {
  const fresh = views.filter((view) => isFresh(view, now));
  const rank = (view: View) => [Number(view.status.quorum), view.status.term] as const;
  const better = (a: View, b: View) => {
    const [quorumA, termA] = rank(a);
    const [quorumB, termB] = rank(b);
    return quorumB > quorumA || (quorumB === quorumA && termB > termA) ? b : a;
  };
  if (fresh.length > 0) return fresh.reduce(better);
  const latest = (a: View, b: View) => (b.heardAt > a.heardAt ? b : a);
  return views.length > 0 ? views.reduce(latest) : null;
}

export function isFresh(view: View, now: number): boolean {
  return now - view.heardAt < FRESH_MS;
}

/** Health of a node in words: the reason where it is not healthy. Nodes of the first release tell none. */
export function healthOf(node: Pick<NodeStatus, 'healthy'> & Partial<Pick<NodeStatus, 'health'>>): string {
  const health = node.health ?? 'unknown';
  if (health === 'ok' || health === 'unknown') return node.healthy ? 'healthy' : 'no answer';
  return health === 'silent' ? 'no answer' : health.replaceAll('_', ' ');
}

/** How many log entries a node is behind the leader, if both are known. */
export function behindLeader(status: StatusAnswer, id: string): number | null {
  const lastOf = (name: string | null | undefined) =>
    status.nodes.find((node) => node.id === name)?.last_log_index ?? null;
  const [leader, own] = [lastOf(status.leader_id), lastOf(id)];
  return leader === null || own === null ? null : Math.max(leader - own, 0);
}
