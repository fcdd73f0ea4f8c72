/** Calls that nodes have to agree on. */

import { idempotencyKey, type Client } from './client';
import type { Request } from './attempt';
import { asProblem } from './problem';
import type { AccessAnswer, ChangeAnswer, SettingAnswer, SettingsAnswer, TransferAnswer } from './types';
import type { Operator, Right } from '../operator.svelte';

const JSON_BODY = { 'content-type': 'application/json' };
const AGREED = { needsQuorum: true };

export function transferLeadership(
  client: Client,
  operator: Record<string, string>,
  to: string,
): Promise<TransferAnswer> {
  const headers = { ...JSON_BODY, ...operator };
  const body = JSON.stringify({ to });
  return client.json({ method: 'POST', path: '/cluster/leader-transfers', headers, body }, AGREED);
}

/** What the nodes say to this page's token. Null: no node said anything. */
export async function readRight(client: Client, operator: Operator): Promise<Right | null> {
  try {
    const request: Request = { method: 'GET', path: '/cluster/access', headers: operator.headers() };
    return (await client.json<AccessAnswer>(request)).authority;
  } catch (error) {
    const { code } = asProblem(error);
    return code === 'token_required' || code === 'token_wrong' || code === 'too_many_guesses' ? code : null;
  }
}

export async function readSettings(client: Client): Promise<SettingAnswer[]> {
  const settings: SettingAnswer[] = [];
  let after = '';
  for (;;) {
    // Whoever has just changed something sees it, whichever node answers.
    const path = `/cluster/settings?consistency=linearizable${after}`;
    const page = await client.json<SettingsAnswer>({ method: 'GET', path }, AGREED);
    settings.push(...page.settings);
    const { next } = page;
    if (next === null || next === undefined) return settings;
    after = `&after=${encodeURIComponent(next)}`;
  }
}

/** Sets a setting that is at `version`, or none: was not set. A change that came in between is refused, not overwritten. */
export function putSetting(
  client: Client,
  operator: Operator,
  setting: { key: string; value: unknown; version: number | null },
): Promise<ChangeAnswer> {
  const { key, value, version } = setting;
  const headers = { ...JSON_BODY, ...changing(operator, version) };
  return client.json({ method: 'PUT', path: pathOf(key), headers, body: JSON.stringify({ value }) }, AGREED);
}

export function deleteSetting(
  client: Client,
  operator: Operator,
  setting: { key: string; version: number },
): Promise<ChangeAnswer> {
  const request: Request = {
    method: 'DELETE',
    path: pathOf(setting.key),
    headers: changing(operator, setting.version),
    // Of a body a browser tells whether it was sent; the call takes none.
    body: '{}',
  };
  return client.json(request, AGREED);
}

function changing(operator: Operator, version: number | null): Record<string, string> {
  const condition: Record<string, string> = version === null ? { 'if-none-match': '*' } : { 'if-match': `"${version}"` };
  return { ...operator.headers(), ...condition, 'idempotency-key': idempotencyKey() };
}

function pathOf(key: string): string {
  return `/cluster/settings/${encodeURIComponent(key)}`;
}
