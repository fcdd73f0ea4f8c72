/** Cluster, Drill and Settings, while nodes die. */

import { readFileSync } from 'node:fs';

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { hideOpenly, launch, Visit } from './browser';
import { ADMIN_TOKEN, Cluster } from './cluster';
import { secretOf } from './inputs';
import { until } from './wait';

let cluster: Cluster;
let browser: Browser;

beforeAll(async () => {
  [cluster, browser] = await Promise.all([Cluster.start(), launch()]);
});

afterEach(() => cluster.startMissing());

afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

const standing = (page: Page) => page.getByRole('banner').getByRole('status');
const card = (page: Page, id: string) =>
  page.getByRole('region', { name: 'Nodes' }).getByRole('listitem').filter({ has: page.getByRole('heading', { name: id }) });

test('the cluster is shown as it is', async () => {
  const leader = await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n2', 'cluster');
  const { page } = visit;
  await standing(page).getByText(`${leader} leads`).waitFor();
  for (const id of cluster.ids) {
    await card(page, id).getByText(id === leader ? 'Leader' : 'Follower', { exact: true }).waitFor();
    await card(page, id).getByText('healthy', { exact: true }).waitFor();
    await card(page, id).getByText(/, up to date$/).waitFor();
  }
  await page.getByText(`${leader} leads (term`).first().waitFor();
  // The figure over the plots and the plots tell one rate.
  const rates = () =>
    page.evaluate(() => {
      const textOf = (element: Element | null | undefined) => element?.textContent?.match(/[\d.]+ \/s/)?.[0];
      const figure = [...document.querySelectorAll('.figures div')].find((div) => div.textContent?.startsWith('Requests'));
      return [textOf(figure), textOf(document.querySelector('figure li'))];
    });
  const isOneRate = async () => {
    for (let i = 0; i < 3; i += 1) await fetch(`${cluster.origin('n1')}/api/dataset/0`);
    const [figure, plotted] = await rates();
    return /^[1-9]/.test(figure ?? '') && figure === plotted;
  };
  await expect.poll(isOneRate, { timeout: 30_000 }).toBe(true);
  await visit.end();
});

test('leadership is handed over, once it was confirmed', async () => {
  const before = await cluster.settled();
  const next = cluster.ids.find((id) => id !== before) ?? '';
  const visit = await Visit.start(browser, cluster, before, 'cluster');
  const { page } = visit;
  await card(page, next).getByRole('button', { name: /^Make leader/ }).click();
  await page.getByRole('dialog', { name: `Let ${next} lead?` }).getByRole('button', { name: 'Cancel' }).click();
  expect(await cluster.settled()).toBe(before);
  await card(page, next).getByRole('button', { name: /^Make leader/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: `Let ${next} lead` }).click();
  await standing(page).getByText(`${next} leads`).waitFor();
  expect(await cluster.settled()).toBe(next);
  await visit.end();
});

test('the node that served the page dies in the middle of a drill: the page goes on, and no request is lost', async () => {
  const victim = await cluster.settled();
  const visit = await Visit.start(browser, cluster, victim, 'drill');
  const { page } = visit;
  await page.getByLabel('Requests of each client').fill('60');
  await page.getByRole('button', { name: 'Start the load' }).click();
  const done = async () => {
    const told = await page.getByText(/^[\d,]+ of [\d,]+ requests,/).textContent();
    return Number(told?.split(' of ')[0]?.replaceAll(',', ''));
  };
  await until('some requests are done', async () => (await done()) > 30);
  await cluster.kill(victim);

  const next = await until('another node leads', async () => {
    const ids = cluster.ids.filter((id) => id !== victim);
    const told = await Promise.all(ids.map((id) => cluster.status(id)));
    const leader = told[0]?.leader_id;
    return leader && leader !== victim && told.every((status) => status.leader_id === leader) ? leader : null;
  });
  await standing(page).getByText(`${next} leads`).waitFor();
  const report = page.getByRole('region', { name: 'Report' });
  await report.waitFor({ timeout: 150_000 });
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    report.getByRole('button', { name: 'Save as JSON' }).click(),
  ]);
  const saved = JSON.parse(readFileSync(await download.path(), 'utf8')) as Record<string, number> & {
    per_node: Record<string, { requests: number }>;
    errors: Record<string, number>;
  };
  expect(saved.errors).toEqual({});
  expect(saved.failed).toBe(0);
  expect(saved.succeeded).toBe(saved.total);
  expect(saved.total).toBeGreaterThan(100);
  expect(saved.per_node[victim]?.requests).toBeGreaterThan(0);
  expect(saved.retried).toBeGreaterThan(0);
  // The whole page still works: other pages, and other calls.
  await page.getByRole('link', { name: 'Hide' }).click();
  await page.getByLabel('Files to hide').setInputFiles(secretOf(100));
  await hideOpenly(page);
  await page.getByRole('link', { name: /^Save/ }).waitFor();
  await page.getByRole('link', { name: 'Cluster' }).click();
  await card(page, victim).getByText('refused', { exact: true }).waitFor();
  await page.getByText(`${next} leads (term`).first().waitFor();

  cluster.startNode(victim);
  await cluster.settled();
  await card(page, victim).getByText('healthy', { exact: true }).waitFor();
  await visit.end();
});

test('a node is paused, restored and crashed by its buttons', async () => {
  const leader = await cluster.settled();
  const victim = cluster.ids.find((id) => id !== leader) ?? '';
  const visit = await Visit.start(browser, cluster, leader, 'drill');
  const { page } = visit;
  const press = async (name: string) => {
    await page.getByRole('button', { name: `${name}: ${victim}` }).click();
    const dialog = page.getByRole('dialog', { name: `${name} ${victim}?` });
    await dialog.getByRole('button', { name }).click();
    await dialog.waitFor({ state: 'hidden' });
  };
  await press('Pause');
  await until('it plays dead', async () => {
    const answer = await fetch(`${cluster.origin(victim)}/readyz`);
    return answer.status === 503;
  });
  await press('Restore');
  await until('it takes part again', async () => (await fetch(`${cluster.origin(victim)}/readyz`)).ok);
  await press('Crash');
  await until('it is gone', async () => {
    const isThere = await fetch(`${cluster.origin(victim)}/livez`).then(
      () => true,
      () => false,
    );
    return !isThere;
  });
  await page.getByRole('link', { name: 'Cluster' }).click();
  await card(page, victim).getByText('refused', { exact: true }).waitFor();
  await page.getByText(`Drill: ${victim} was crashed`).waitFor();
  await cluster.kill(victim);
  cluster.startNode(victim);
  await cluster.settled();
  await visit.end();
});

test('settings are changed, with who did it, and a change that came in between is not overwritten', async () => {
  await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n1', 'settings');
  const { page } = visit;
  await page.getByLabel('Your name').fill('Zoë 🐈');
  await page.getByRole('region', { name: 'Hiding' }).getByLabel('Bits per sample').selectOption('2');
  await page.getByRole('button', { name: 'Save Bits per sample' }).click();
  await page.getByText('bits is set.').waitFor();
  await page.getByText(/Zoë 🐈, over loopback, through n/).waitFor();

  // Somebody else is quicker.
  await page.getByRole('region', { name: 'Hiding' }).getByLabel('Bits per sample').selectOption('3');
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_TOKEN}`, 'x-steg-operator': 'other' };
  const body = JSON.stringify({ value: 4 });
  await fetch(`${cluster.origin('n2')}/cluster/settings/bits`, { method: 'PUT', headers, body });
  await page.getByText(/other, with the admin token/).waitFor();
  await page.getByRole('button', { name: 'Save Bits per sample' }).click();
  await page.getByText('version_mismatch').waitFor();
  // Having seen it, they may do as they like.
  await page.getByRole('button', { name: 'Save Bits per sample' }).click();
  await page.getByText('bits is set.').waitFor();

  await page.getByRole('button', { name: 'Unset Bits per sample' }).click();
  await page.getByText('bits is not set any more.').waitFor();

  await page.getByLabel('Name of a new note').fill('rota');
  await page.getByLabel('Its text').fill('<b>Mo</b>: Zoë');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.getByText('note.rota is set.').waitFor();
  await page.getByRole('button', { name: 'Delete rota' }).click();
  await page.getByText('note.rota is not set any more.').waitFor();

  await page.reload();
  expect(await page.getByLabel('Your name').inputValue()).toBe('Zoë 🐈');
  await page.getByLabel('Admin token').fill('not-the-token');
  await page.getByLabel('Compress secrets').selectOption('no');
  await page.getByRole('button', { name: 'Save Compress secrets' }).click();
  await page.getByText('token_wrong').waitFor();
  visit.check();
  await visit.end();
});

test('where loopback is no right, the token in the address is', async () => {
  const strict = await Cluster.start([], 'token');
  try {
    const without = await Visit.start(browser, strict, 'n1', 'settings');
    await without.page.getByText('No admin token yet: settings can be read, not changed.').waitFor();
    await without.page.getByLabel('Compress secrets').selectOption('no');
    await without.page.getByRole('button', { name: 'Save Compress secrets' }).click();
    await without.page.getByText('token_required').waitFor();
    // What is asked for is on this page, and led to.
    await without.page.getByRole('link', { name: 'Enter the admin token' }).click();
    await expect.poll(() => without.page.evaluate(() => document.activeElement?.id)).toBe('token');
    await without.end();

    const visit = await Visit.start(browser, strict, 'n1', `settings?token=${ADMIN_TOKEN}`);
    const { page } = visit;
    await page.getByText('This page has the admin token').waitFor();
    expect(page.url()).toBe(`${strict.origin('n1')}/#/settings`);
    // It is still there after a reload, and works at a node that did not serve the page.
    await page.reload();
    await page.getByText('This page has the admin token').waitFor();
    await strict.kill('n1');
    await page.getByLabel('Compress secrets').selectOption('no');
    await page.getByRole('button', { name: 'Save Compress secrets' }).click();
    await page.getByText('compress is set.').waitFor();
    await page.getByText(/with the admin token, through n[23]/).waitFor();
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(ADMIN_TOKEN);
    await visit.end();
  } finally {
    await strict.stop();
  }
});

test('with two of three nodes gone, hiding goes on, and settings say why they do not', async () => {
  await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n1', 'settings');
  const { page } = visit;
  await page.getByRole('button', { name: 'Save Compress secrets' }).waitFor();
  await page.getByText(/Not set: the configuration/).first().waitFor();
  await Promise.all([cluster.kill('n2'), cluster.kill('n3')]);
  await standing(page).getByText('no quorum').waitFor();
  await page.getByLabel('Compress secrets').selectOption('no');
  await page.getByRole('button', { name: 'Save Compress secrets' }).click();
  await expect.poll(() => page.getByRole('main').innerText(), { timeout: 60_000 }).toContain('no_quorum');

  await page.getByRole('link', { name: 'Hide' }).click();
  await page.getByLabel('Files to hide').setInputFiles(secretOf(100));
  await hideOpenly(page);
  await page.getByText(/^made by n1/).waitFor();
  cluster.startNode('n2');
  cluster.startNode('n3');
  await cluster.settled();
  await visit.end();
});

test('with every node dead, hiding and finding say so within seconds, and go on by a button', async () => {
  await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await page.getByLabel('Files to hide').setInputFiles(secretOf(100));
  await standing(page).getByText(/leads$/).waitFor();
  await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
  const clicked = performance.now();
  await hideOpenly(page);
  await page.getByRole('alert').getByText('no_node_answers').waitFor();
  expect(performance.now() - clicked).toBeLessThan(10_000);
  for (const id of cluster.ids) cluster.startNode(id);
  await cluster.settled();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('link', { name: /^Save/ }).waitFor();
  await visit.end();
});

test('a rolling restart by the page leaves every node healthy, with drills told in the words of Cluster', async () => {
  await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n1', 'drill');
  const { page } = visit;
  const nodes = page.getByRole('region', { name: 'Nodes' }).getByRole('row');
  for (const id of cluster.ids) await nodes.filter({ hasText: id }).getByText('healthy', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Rolling restart' }).click();
  await page.getByRole('button', { name: 'Start the rolling restart' }).click();
  await page.getByText('Rolling restart: 3 of 3 nodes were restarted, and all are healthy.').waitFor({ timeout: 150_000 });
  for (const id of cluster.ids) {
    const told = (await cluster.status(id)).nodes.find((node) => node.id === id);
    expect(told?.uptime_s, id).toBeLessThan(150);
  }
  await visit.end();
});

test('a node is partitioned, restored and hangs by its buttons', async () => {
  const leader = await cluster.settled();
  const victim = cluster.ids.find((id) => id !== leader) ?? '';
  const visit = await Visit.start(browser, cluster, leader, 'drill');
  const { page } = visit;
  const row = page.getByRole('region', { name: 'Nodes' }).getByRole('row').filter({ hasText: victim });
  const press = async (name: string) => {
    await page.getByRole('button', { name: `${name}: ${victim}` }).click();
    await page.getByRole('dialog', { name: `${name} ${victim}?` }).getByRole('button', { name }).click();
  };
  for (const name of ['Partition', 'Restore', 'Hang']) {
    // Nothing but Restore is pressed on a node that is not healthy.
    if (name !== 'Restore') await row.getByText('healthy', { exact: true }).waitFor();
    await press(name);
    if (name !== 'Restore') await row.getByText('healthy', { exact: true }).waitFor({ state: 'hidden' });
  }
  await row.getByText('healthy', { exact: true }).waitFor();
  await visit.end();
});

test('all three nodes go down and come back, and the page with them', async () => {
  await cluster.settled();
  const visit = await Visit.start(browser, cluster, 'n3', 'cluster');
  const { page } = visit;
  await standing(page).getByText(/leads$/).waitFor();
  await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
  await page.getByText(/^No node answers\./).waitFor();
  await standing(page).getByText('no node answers').waitFor();

  await page.getByRole('link', { name: 'Find' }).click();
  await page.getByRole('link', { name: 'Cluster' }).click();
  for (const id of cluster.ids) cluster.startNode(id);
  const leader = await cluster.settled();
  await standing(page).getByText(`${leader} leads`).waitFor();
  for (const id of cluster.ids) await card(page, id).getByText('healthy', { exact: true }).waitFor();
  await visit.end();
});
