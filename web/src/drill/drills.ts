/** What can be done to a node on purpose, how it is asked for, and in which words. */

import type { Client } from '../api/client';
import { transferLeadership } from '../api/cluster';
import type { NodePlace } from '../cluster/place';

export interface Drill {
  key: 'crash' | 'restart' | 'pause' | 'partition' | 'hang' | 'restore' | 'lead';
  /** On its button. */
  label: string;
  title: (node: string) => string;
  /** What will happen, and how it ends. */
  text: (node: string) => string;
  /** What was done. */
  done: (node: string) => string;
  isDangerous: boolean;
  /** Whether the node has to allow drills for it. */
  isFault: boolean;
  call: (client: Client, node: NodePlace, headers: Record<string, string>) => Promise<unknown>;
}

/** How long a node hangs: nothing can end it before. */
const HANG_S = 10;

export const DRILLS: readonly Drill[] = [
  {
    key: 'crash',
    label: 'Crash',
    title: (node) => `Crash ${node}?`,
    text: (node) =>
      `The process of ${node} ends at once, as if it had been killed. If it leads, the others elect another leader; without a ` +
      `majority of the voters nothing can be changed. It does not come back by itself: start it again, in a demo with the ` +
      `command that the demo prints.`,
    done: (node) => `${node} was crashed`,
    isDangerous: true,
    isFault: true,
    call: (client, node, headers) => fault(client, node, headers, { action: 'crash' }),
  },
  {
    key: 'restart',
    label: 'Restart',
    title: (node) => `Restart ${node}?`,
    text: (node) =>
      `${node} stops as on SIGTERM and starts again with the same data. If it leads, it hands leadership over first. It is away for ` +
      `a few seconds.`,
    done: (node) => `${node} was restarted`,
    isDangerous: true,
    isFault: true,
    call: (client, node, headers) => fault(client, node, headers, { action: 'restart' }),
  },
  {
    key: 'pause',
    label: 'Pause',
    title: (node) => `Pause ${node}?`,
    text: (node) =>
      `${node} plays dead: it takes no requests and the other nodes do not hear it. If it leads, they elect another leader. It ` +
      `keeps its process and its data, and takes part again once you press Restore.`,
    done: (node) => `${node} was paused`,
    isDangerous: true,
    isFault: true,
    call: (client, node, headers) => fault(client, node, headers, { action: 'pause' }),
  },
  {
    key: 'partition',
    label: 'Partition',
    title: (node) => `Partition ${node}?`,
    text: (node) =>
      `${node} is cut off from the other nodes and goes on serving clients: hiding and finding work there, changes do not. If it ` +
      `leads, the others elect another leader. It takes part again once you press Restore.`,
    done: (node) => `${node} was partitioned`,
    isDangerous: true,
    isFault: true,
    call: (client, node, headers) => fault(client, node, headers, { action: 'partition' }),
  },
  {
    key: 'hang',
    label: 'Hang',
    title: (node) => `Hang ${node}?`,
    text: (node) =>
      `The whole process of ${node} stands still for ${HANG_S} s, as on a machine that hangs: connections stay open and nothing is ` +
      `answered. If it leads, the others elect another leader. It goes on by itself.`,
    done: (node) => `${node} hangs for ${HANG_S} s`,
    isDangerous: true,
    isFault: true,
    call: (client, node, headers) => fault(client, node, headers, { action: 'hang', for_ms: HANG_S * 1000 }),
  },
  {
    key: 'restore',
    label: 'Restore',
    title: (node) => `Restore ${node}?`,
    text: (node) =>
      `Ends a pause or a partition: ${node} takes part again and catches up with the others. Otherwise nothing changes. It does not ` +
      `start a node that crashed.`,
    done: (node) => `${node} was restored`,
    isDangerous: false,
    isFault: true,
    call: (client, node, headers) =>
      client.callNode(node, { method: 'POST', path: '/admin/restore', headers: asJson(headers) }),
  },
  {
    key: 'lead',
    label: 'Make leader',
    title: (node) => `Make ${node} the leader?`,
    text: (node) =>
      `The leader hands leadership over to ${node}. Changes that are under way wait for it, a moment; nothing is lost. It stays ` +
      `so until the next election or until you hand leadership on.`,
    done: (node) => `${node} was made the leader`,
    isDangerous: false,
    isFault: false,
    call: (client, { id }, headers) => transferLeadership(client, headers, id),
  },
];

interface Fault {
  action: 'crash' | 'restart' | 'pause' | 'partition' | 'hang';
  for_ms?: number;
}

function fault(client: Client, node: NodePlace, headers: Record<string, string>, request: Fault) {
  const body = JSON.stringify(request);
  return client.callNode(node, { method: 'POST', path: '/admin/fail', headers: asJson(headers), body });
}

/** Restarts a node, as one of all. */
export function restartNode(client: Client, node: NodePlace, headers: Record<string, string>) {
  return fault(client, node, headers, { action: 'restart' });
}

function asJson(headers: Record<string, string>): Record<string, string> {
  return { ...headers, 'content-type': 'application/json' };
}
