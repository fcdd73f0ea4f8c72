/** A rolling restart: every node in turn, each once the one before is healthy again, the leader last. No clock in here. */

import type { StatusAnswer } from '../api/types';

/** How long a node may take to be healthy again. */
export const WELL_WITHIN_MS = 60_000;
/** Between a node that is healthy again and the restart of the next one. */
export const BETWEEN_MS = 1000;
const LOOK_MS = 250;

/** What the restart sees and does. */
export interface World {
  /** Nodes in the configuration's order. */
  ids: readonly string[];
  leader: () => string | null;
  restart: (id: string) => Promise<unknown>;
  /** True if the node was started after `since` and every node is healthy. */
  isBack: (id: string, since: number) => boolean;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  tell: (text: string) => void;
  isStopped: () => boolean;
}

/** Nodes that were restarted. Throws what a restart throws, and an error that names a node that did not come back. */
export async function rollingRestart(world: World): Promise<string[]> {
  const done: string[] = [];
  const left = [...world.ids];
  while (left.length > 0 && !world.isStopped()) {
    if (done.length > 0) await world.sleep(BETWEEN_MS);
    const id = next(left, world.leader());
    left.splice(left.indexOf(id), 1);
    const since = world.now();
    world.tell(`Rolling restart: ${id} restarts, ${done.length} of ${world.ids.length} are done.`);
    await world.restart(id);
    while (!world.isBack(id, since)) {
      if (world.now() - since > WELL_WITHIN_MS) {
        const rest = left.length > 0 ? `; ${left.join(', ')} ${left.length === 1 ? 'was' : 'were'} not restarted` : '';
        throw new Error(`${id} was restarted and not every node was healthy within ${WELL_WITHIN_MS / 1000} s${rest}`);
      }
      await world.sleep(LOOK_MS);
    }
    done.push(id);
  }
  return done;
}

/** The first that does not lead: leadership moves only once more, with the last one. */
function next(left: readonly string[], leader: string | null): string {
  return left.find((id) => id !== leader) ?? left[0] ?? '';
}

/** True if a node was started after `since`, by what it said of itself at `heardAt`, and all are healthy under a leader. */
export function isBack(status: StatusAnswer, id: string, since: number, heardAt: number): boolean {
  const uptimeMs = (status.nodes.find((node) => node.id === id)?.uptime_s ?? Infinity) * 1000;
  return uptimeMs < heardAt - since && status.quorum && status.leader_id != null && status.nodes.every((node) => node.healthy);
}
