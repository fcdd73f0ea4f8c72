/** What happened, as people read it, from the events of all nodes. No clock in here. */

import type { ClusterEvent } from '../api/types';

/** Entries kept. */
const KEPT = 500;
/** Within so many milliseconds, what is told in the same words is the same happening, seen by several nodes. */
const SAME_MS = 5000;

export type Weight = 'good' | 'bad' | 'drill' | 'plain';

export interface Entry {
  /** Tells it from all others. */
  key: string;
  /** What several nodes see at about the same time is the same happening if this is the same. */
  same: string;
  /** Milliseconds since 1970, by the clock of the node that saw it first. */
  at: number;
  text: string;
  weight: Weight;
  /** Nodes that saw it; none where the page did. */
  seenBy: string[];
  /** Whether it is a change of leader, which plots mark. */
  marks: boolean;
  /** What the first node to see it told; none where the page did. */
  event?: ClusterEvent;
}

type Told = Pick<Entry, 'same' | 'text' | 'weight'> & { marks?: boolean };

/** The entry of an event; null for what others say better. */
export function entryOf(event: ClusterEvent): Entry | null {
  const told = tell(event);
  const key = `${event.node} ${event.at_ms} ${event.id}`;
  return told && { marks: false, key, ...told, at: event.at_ms, seenBy: [event.node], event };
}

function tell(event: ClusterEvent): Told | null {
  const { node } = event;
  const own = `${node} ${event.at_ms} ${event.id}`;
  switch (event.kind) {
    case 'leader':
      return event.leader_id == null
        ? { same: `none ${event.term}`, text: `No leader (term ${event.term})`, weight: 'bad' }
        : {
            same: `leads ${event.leader_id} ${event.term}`,
            text: `${event.leader_id} leads (term ${event.term})`,
            weight: 'good',
            marks: true,
          };
    case 'role':
      // Who leads and who follows is told by the change of leader.
      return event.role === 'Candidate'
        ? { same: own, text: `${node} stands for election (term ${event.term})`, weight: 'plain' }
        : null;
    case 'peer':
      return event.healthy
        ? { same: own, text: `${event.peer} answers ${node}`, weight: 'good' }
        : {
            same: own,
            text: `${event.peer} does not answer ${node}: ${probes(event.failed_probes)}`,
            weight: 'bad',
          };
    case 'suspicion':
      return { same: own, text: `${node} suspects the leader ${event.peer}: ${evidence(event.evidence)}`, weight: 'bad' };
    case 'members': {
      const learners = event.learners.length > 0 ? `; without a vote: ${event.learners.join(', ')}` : '';
      const text = `Voters: ${event.voters.join(', ') || 'none'}${learners}`;
      return { same: text, text, weight: 'plain' };
    }
    case 'config': {
      const text = event.same ? 'has the same configuration as' : 'has another configuration than';
      return { same: own, text: `${event.peer} ${text} ${node}`, weight: event.same ? 'good' : 'bad' };
    }
    case 'drill':
      return { same: own, text: `Drill on ${node}: ${event.action}`, weight: 'drill', marks: true };
    case 'notice':
      return { same: own, text: `${node}: ${event.message}`, weight: 'plain' };
  }
}

function probes(failed: number): string {
  return failed === 1 ? 'a probe failed' : `${failed} probes failed`;
}

function evidence(kind: string): string {
  const words: Record<string, string> = {
    refused: 'its port is closed',
    unanswered: 'it answers no probes',
    stuck: 'it says that it hangs',
    drill: 'a drill says so',
  };
  return words[kind] ?? kind;
}

/** In a term one node leads, whoever hears of it when. */
function withinMs({ event }: Entry): number {
  return event?.kind === 'leader' && event.leader_id != null ? Infinity : SAME_MS;
}

/** The timeline with one more entry, the newest first; what several nodes saw stands there once, with who saw it. */
export function withEntry(entries: readonly Entry[], entry: Entry): Entry[] {
  // Streams tell from the beginning again when they are opened again.
  if (entries.some((other) => other.key === entry.key)) return entries as Entry[];
  const known = entries.find((other) => other.same === entry.same && Math.abs(other.at - entry.at) < withinMs(entry));
  if (known && entry.seenBy.every((node) => known.seenBy.includes(node))) return entries as Entry[];
  const merged: Entry = known
    ? { ...known, at: Math.min(known.at, entry.at), seenBy: [...known.seenBy, ...entry.seenBy].toSorted() }
    : entry;
  const others = entries.filter((other) => other !== known);
  const place = others.findIndex((other) => other.at <= merged.at);
  const list = place < 0 ? [...others, merged] : [...others.slice(0, place), merged, ...others.slice(place)];
  return list.slice(0, KEPT);
}
