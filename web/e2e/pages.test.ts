/** What holds for every page: nothing from elsewhere, little to load, no barrier; and a picture of each to look at. */

import { mkdirSync } from 'node:fs';
import path from 'node:path';

import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { PAGES } from '../src/pages';
import { hideOpenly, launch, Visit } from './browser';
import { Cluster } from './cluster';
import { photographOr, secretOf } from './inputs';

const SHOTS = path.resolve(import.meta.dirname, '../shots');
/** What the console may weigh, compressed. */
const MAX_BYTES = 100_000;

let cluster: Cluster;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(SHOTS, { recursive: true });
  [cluster, browser] = await Promise.all([Cluster.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** Fills the page with what it is for, so that all of it is looked at. */
async function fill(visit: Visit, page: (typeof PAGES)[number]): Promise<void> {
  const { page: tab } = visit;
  await tab.getByRole('banner').getByText(/ leads$/).waitFor();
  if (page === 'hide') {
    await tab.getByLabel('Files to hide').setInputFiles(secretOf(40_000, 'contract.pdf'));
    await tab.getByLabel('Picture to hide it in').setInputFiles(await photographOr(cluster, '007.png', 5));
    await hideOpenly(tab);
    await tab.getByText(/^\d+ of \d|^[\d,]+ of [\d,]+$/).first().waitFor();
    await tab.getByText(/^0\.9\d+$/).waitFor();
  }
  if (page === 'find') {
    await tab.getByLabel('Picture to look into').setInputFiles(await photographOr(cluster, '007.png', 5));
    await tab.getByRole('button', { name: 'Find it' }).click();
    await tab.getByRole('alert').waitFor();
  }
  if (page === 'cluster') {
    await tab.getByText(/, up to date$/).first().waitFor();
    // Something to be seen in the plots.
    for (let i = 0; i < 60; i += 1) await fetch(`${cluster.origins[i % 3]}/api/dataset/${i % 5}`);
    await tab.getByRole('figure', { name: 'Requests', exact: true }).getByText(/[1-9]\d*\.\d \/s$/).waitFor();
  }
  if (page === 'drill') {
    await tab.getByLabel('Requests of each client').fill('5');
    await tab.getByRole('button', { name: 'Start the load' }).click();
    await tab.getByRole('region', { name: 'Report' }).waitFor();
  }
  if (page === 'settings') await tab.getByRole('button', { name: 'Save Bits per sample' }).waitFor();
}

async function violations(page: Page): Promise<string[]> {
  // As the page's own policy allows no script from elsewhere, it is run by the browser's debugger.
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => {
    const { axe: injected } = window as unknown as { axe: typeof axe };
    return injected.run(document, { resultTypes: ['violations'] });
  });
  return found.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' | ')}`);
}

for (const page of PAGES) {
  for (const dark of [false, true]) {
    test(`no barrier on ${page}, ${dark ? 'dark' : 'light'}, wide and narrow, and a picture of each`, async () => {
      const visit = await Visit.start(browser, cluster, 'n1', page, { dark });
      await fill(visit, page);
      for (const width of [1440, 390, 360]) {
        await visit.page.setViewportSize({ width, height: 900 });
        const isTooWide = () => visit.page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
        await expect.poll(isTooWide, { message: `${page} at ${width} pixels scrolls sideways` }).toBe(false);
        if (width === 360) continue;
        expect(await violations(visit.page)).toEqual([]);
        const file = path.join(SHOTS, `${page}-${width}-${dark ? 'dark' : 'light'}.png`);
        await visit.page.screenshot({ path: file, fullPage: true });
      }
      await visit.end();
    });
  }
}

test('no barrier in a question before something is done', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'drill');
  await visit.page.getByRole('button', { name: 'Pause: n2' }).click();
  await visit.page.getByRole('dialog', { name: 'Pause n2?' }).waitFor();
  expect(await violations(visit.page)).toEqual([]);
  await visit.page.keyboard.press('Escape');
  await visit.page.getByRole('dialog').waitFor({ state: 'hidden' });
  expect((await fetch(`${cluster.origin('n2')}/readyz`)).status).toBe(200);
  await visit.end();
});

test('nothing moves while a page is loaded and filled', async () => {
  for (const page of PAGES) {
    const visit = await Visit.start(browser, cluster, 'n2', page);
    await fill(visit, page);
    const shift = await visit.page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          let sum = 0;
          const seen = new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) {
              const { value, hadRecentInput } = entry as unknown as { value: number; hadRecentInput: boolean };
              // As cumulative layout shift is defined: what a click or a key brings about is expected.
              if (!hadRecentInput) sum += value;
            }
          });
          seen.observe({ type: 'layout-shift', buffered: true });
          // Two frames later, what was buffered has been told.
          requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
        }),
    );
    expect(shift, page).toBeLessThan(0.05);
    await visit.end();
  }
});

test('all of the console comes at once, compressed, and is small', async () => {
  const origin = cluster.origin('n1');
  const index = await fetch(`${origin}/`);
  const html = await index.text();
  expect(index.headers.get('cache-control')).toBe('no-store');
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, name]) => name ?? '');
  expect(assets.length).toBeGreaterThanOrEqual(3);
  let bytes = html.length;
  for (const name of assets) {
    const answer = await fetch(origin + name, { headers: { 'accept-encoding': 'gzip' } });
    expect(answer.headers.get('cache-control')).toContain('immutable');
    const length = Number(answer.headers.get('content-length'));
    expect(length).toBeGreaterThan(0);
    bytes += length;
  }
  console.log(`the console weighs ${bytes} bytes, compressed`);
  expect(bytes).toBeLessThanOrEqual(MAX_BYTES);
  expect((await fetch(`${origin}/assets/gone-12345678.js`)).status).toBe(404);
});

test('pages have addresses without a hash too, and what is no page is told as such', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  const origin = cluster.origin('n1');
  for (const name of PAGES) {
    await page.goto(`${origin}/${name}`);
    expect(page.url()).toBe(`${origin}/#/${name}`);
    await page.getByRole('heading', { level: 1, name }).waitFor();
  }
  await page.goto(`${origin}/#/nonsense`);
  await page.getByRole('heading', { name: 'Page not found' }).waitFor();
  await page.getByRole('main').getByRole('link', { name: 'Cluster' }).click();
  await page.getByRole('heading', { level: 1, name: 'Cluster' }).waitFor();
  const other = await visit.context.newPage();
  expect((await other.goto(`${origin}/nonsense`))?.status()).toBe(404);
  await other.getByText('/nonsense').waitFor();
  await other.getByRole('main').getByRole('link', { name: 'Find' }).click();
  expect(other.url()).toBe(`${origin}/#/find`);
  await visit.end();
});

test('the policy of the page names the nodes and nobody else', async () => {
  const answer = await fetch(`${cluster.origin('n1')}/`);
  const policy = answer.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'self'; img-src 'self' blob:; connect-src 'self' ");
  const connect = policy.match(/connect-src ([^;]+)/)?.[1]?.split(' ') ?? [];
  expect(new Set(connect)).toEqual(new Set(["'self'", ...cluster.origins]));
});

test('the pages of the API work without anybody else', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await page.goto(`${cluster.origin('n1')}/docs/`);
  await page.getByText('Hide a file in an image').waitFor();
  await page.getByText('/cluster/status').first().click();
  await page.getByRole('button', { name: 'Try it out' }).click();
  await page.getByRole('button', { name: 'Execute' }).click();
  await page.getByText('"leader_id"').first().waitFor();
  await page.screenshot({ path: path.join(SHOTS, 'docs-1440.png') });
  await page.goto(`${cluster.origin('n1')}/docs/errors`);
  await page.getByRole('heading', { name: 'capacity_exceeded' }).waitFor();
  await visit.end();
});

test('the console works under the name localhost, too', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const own = cluster.origin('n1').replace('127.0.0.1', 'localhost');
  const context = await browser.newContext();
  const page = await context.newPage();
  const refused: string[] = [];
  page.on('console', (message) => {
    if (message.text().includes('CORS')) refused.push(message.text());
  });
  await page.goto(`${own}/#/cluster`);
  await page.getByRole('banner').getByText(/ leads$/).waitFor();
  // Each node tells it on a stream of its own. Earlier events may have been told too far apart to be one.
  await cluster.moveLeader();
  await page.getByText('seen by n1, n2, n3').first().waitFor();
  expect(refused).toEqual([]);
  await context.close();
  await visit.end();
});
