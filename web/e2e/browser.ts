/** Debian's Chromium, and pages that keep an eye on what must not happen: errors, and calls to strangers. */

import { readFileSync } from 'node:fs';
import path from 'node:path';

import { chromium, type Browser, type BrowserContext, type ConsoleMessage, type Page } from 'playwright-core';
import { expect } from 'vitest';

import type { Cluster } from './cluster';

/** Without the network of its own that a browser has: updates, safe browsing, first-run pages. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** To a browser, a page that no node served is one of the internet, which may not call this machine. */
const ARGS_WITH_DIST = ['--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests'];

export function launch(): Promise<Browser> {
  const args = process.env.STEG_DIST ? [...ARGS, ...ARGS_WITH_DIST] : ARGS;
  return chromium.launch({ executablePath: process.env.STEG_CHROMIUM ?? '/usr/bin/chromium', args });
}

export interface Options {
  width?: number;
  height?: number;
  dark?: boolean;
}

export class Visit {
  readonly #strangers: string[] = [];
  readonly #errors: string[] = [];

  private constructor(
    readonly page: Page,
    readonly context: BrowserContext,
    allowed: string[],
  ) {
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'blob:' && !allowed.includes(url.origin)) this.#strangers.push(request.url());
    });
    page.on('response', (response) => {
      if (response.status() === 404) this.#errors.push(`404: ${response.url()}`);
    });
    page.on('pageerror', (error) => this.#errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !isOfADeadNode(message)) this.#errors.push(message.text());
    });
  }

  /** Opens the console as node `id` serves it. */
  static async start(browser: Browser, cluster: Cluster, id: string, hash: string, options: Options = {}): Promise<Visit> {
    const { width = 1440, height = 900, dark = false } = options;
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? 'dark' : 'light',
      acceptDownloads: true,
      reducedMotion: 'reduce',
    });
    const visit = new Visit(await context.newPage(), context, cluster.origins);
    visit.page.setDefaultTimeout(60_000);
    if (process.env.STEG_DIST) await serve(context, cluster, path.resolve(process.env.STEG_DIST));
    await visit.page.goto(`${cluster.origin(id)}/#/${hash}`);
    return visit;
  }

  /** What no page may do, whatever happens. */
  check(): void {
    expect(this.#strangers, 'requests to others than the nodes').toEqual([]);
    expect(this.#errors, 'errors in the console').toEqual([]);
  }

  async end(): Promise<void> {
    this.check();
    await this.context.close();
  }
}

/** Serves the console as it is built in a folder, in place of the one in the nodes: these need not be built anew for each change. */
async function serve(context: BrowserContext, { origins }: Cluster, folder: string): Promise<void> {
  const isNode = (url: URL) => origins.includes(url.origin);
  const description = /(name="steg-cluster" content=")[^"]*/;
  await context.route((url) => isNode(url) && url.pathname === '/', async (route) => {
    // What the node says of its cluster, and its headers, stay.
    const response = await route.fetch();
    const [written] = description.exec(await response.text()) ?? [''];
    const html = readFileSync(path.join(folder, 'index.html'), 'utf8').replace(description, () => written);
    await route.fulfill({ response, body: html });
  });
  await context.route((url) => isNode(url) && url.pathname.startsWith('/assets/'), (route) =>
    route.fulfill({ path: path.join(folder, new URL(route.request().url()).pathname) }),
  );
}

/** Hides without a key, and answers the question about it. */
export async function hideOpenly(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Hide it', exact: true }).click();
  await page.getByRole('button', { name: 'Hide it openly' }).click();
}

/** A browser logs each call that a dead, paused or refusing node did not answer with a success; a page cannot keep it from it. */
function isOfADeadNode(message: ConsoleMessage): boolean {
  return message.text().startsWith('Failed to load resource:');
}
