/** Hide and Find, as a person uses them. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { Browser, Download } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { capacityBytes } from '../src/images/shape';
import { hideOpenly, launch, Visit } from './browser';
import { Cluster } from './cluster';
import { digest, photograph, photographOr, secretOf, smallPng, type Upload } from './inputs';

let cluster: Cluster;
let browser: Browser;

beforeAll(async () => {
  [cluster, browser] = await Promise.all([Cluster.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

const bytesOf = async (download: Download) => readFileSync(await download.path());

/** What a node finds in an image, without the console. */
async function extracted(image: Uint8Array<ArrayBuffer>): Promise<{ bytes: Uint8Array; name: string }> {
  const form = new FormData();
  form.set('file', new Blob([image]), 'stego.png');
  const answer = await fetch(`${cluster.origin('n3')}/api/extract`, { method: 'POST', body: form });
  const { recovered_b64: text, filename } = (await answer.json()) as { recovered_b64: string; filename: string };
  return { bytes: Buffer.from(text, 'base64'), name: filename };
}

async function hide(visit: Visit, secret: Upload, cover: Upload | null): Promise<Buffer<ArrayBuffer>> {
  const { page } = visit;
  await page.getByLabel('Files to hide').setInputFiles(secret);
  if (cover) await page.getByLabel('Picture to hide it in').setInputFiles(cover);
  await hideOpenly(page);
  const save = page.getByRole('link', { name: /^Save/ });
  await save.waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), save.click()]);
  return Buffer.from(await bytesOf(download));
}

test('a file goes into the default cover and comes out again, with its figures', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const secret = secretOf(10_000, 'report.pdf');
  const image = await hide(visit, secret, null);
  const found = await extracted(image);
  expect(digest(found.bytes)).toBe(digest(secret.buffer));
  expect(found.name).toBe('report.pdf');
  const figures = visit.page.getByRole('region', { name: 'Hidden' });
  await figures.getByText(/^0\.99\d+$|^1\.0+$/).waitFor();
  await figures.getByText(/^\d+\.\d\d dB$/).waitFor();
  await figures.getByText('10,000 bytes').waitFor();
  await visit.end();
});

test('what is hidden with a passphrase is found with it alone', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await page.getByLabel('Files to hide').setInputFiles(secretOf(5000, 'letter.pdf'));
  const passphrase = page.locator('#hide-key-passphrase');
  expect(await passphrase.getAttribute('type')).toBe('password');
  await passphrase.fill('hunter2');
  await page.getByText(/^Weak: it may be guessed/).waitFor();
  await passphrase.fill('lemon tuna rescue orbit flame vessel');
  await page.getByText(/^Strong/).waitFor();
  await page.getByRole('button', { name: 'Show', exact: true }).first().click();
  expect(await passphrase.getAttribute('type')).toBe('text');
  await page.getByRole('button', { name: 'Hide it', exact: true }).click();
  const save = page.getByRole('link', { name: /^Save/ });
  await save.waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), save.click()]);
  const image = { name: 'p.png', mimeType: 'image/png', buffer: Buffer.from(await bytesOf(download)) };

  await page.getByRole('link', { name: 'Find' }).click();
  await page.getByLabel('Picture to look into').setInputFiles(image);
  await page.getByRole('button', { name: 'Find it' }).click();
  await page.getByText(/^Nothing was hidden in this image/).waitFor();
  const key = page.locator('#find-key-passphrase');
  await key.fill('another');
  await page.getByRole('button', { name: 'Find it' }).click();
  await page.getByText(/^Check the passphrase/).waitFor();
  await key.fill('lemon tuna rescue orbit flame vessel');
  await page.getByRole('button', { name: 'Find it' }).click();
  await page.getByRole('region', { name: 'Found', exact: true }).getByText('letter.pdf').waitFor();
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
  expect(stored).not.toContain('lemon');
  await visit.end();
});

test('a text goes into a photograph, which is shown beside its cover', async () => {
  const visit = await Visit.start(browser, cluster, 'n2', 'hide');
  const { page } = visit;
  const cover = await photographOr(cluster, '001.png', 1);
  await page.getByLabel('A text').check();
  await page.getByLabel('Text to hide').fill('We meet at noon. שלום 🐈');
  await page.getByLabel('Picture to hide it in').setInputFiles(cover);
  await page.locator('#bits').selectOption('2');
  await page.getByText(/left\.$/).waitFor();
  await hideOpenly(page);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: /^Save/ }).click(),
  ]);
  // Saved beside its cover, it does not replace it.
  expect(download.suggestedFilename()).toBe(cover.name.replace(/\.\w+$/, '-stego.png'));
  const found = await extracted(Buffer.from(await bytesOf(download)));
  expect(Buffer.from(found.bytes).toString()).toBe('We meet at noon. שלום 🐈');

  await page.getByLabel('Side by side').check();
  for (const name of ['The cover', 'The same with the secret in it']) {
    const shown = page.getByRole('img', { name, exact: true });
    await shown.waitFor();
    expect(await shown.evaluate((image: HTMLImageElement) => image.decode().then(() => image.naturalWidth))).toBeGreaterThan(0);
  }
  await page.getByLabel('Difference', { exact: true }).check();
  const canvas = page.getByRole('img', { name: /samples differ/ });
  await canvas.waitFor();
  const brightest = () =>
    canvas.locator('canvas').evaluate((drawn: HTMLCanvasElement) => {
      const { data } = drawn.getContext('2d')!.getImageData(0, 0, drawn.width, drawn.height);
      return data.reduce((most, value, i) => (i % 4 === 3 ? most : Math.max(most, value)), 0);
    });
  await expect.poll(brightest, { timeout: 20_000 }).toBe(255);
  // Two bits change a sample by 3 at most: at its least, that is all there is to see.
  await page.getByLabel(/^Differences ×/).fill('0');
  await expect.poll(brightest).toBeLessThanOrEqual(3);
  await visit.end();
});

test('a photograph of 20 megapixels', async () => {
  const cover = photograph('large-20mp.jpg');
  if (!cover) return;
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  const secret = secretOf(200_000);
  await page.getByLabel('Picture to hide it in').setInputFiles(cover);
  await page.getByText('JPEG, 5472 × 3648').waitFor();
  const image = await hide(visit, secret, cover);
  expect(digest((await extracted(image)).bytes)).toBe(digest(secret.buffer));
  await page.getByLabel('Difference', { exact: true }).check();
  await page.getByRole('img', { name: /samples differ/ }).waitFor();
  // 200,000 bytes lie in the first hundred rows of 3648, which are drawn alone.
  await page.getByText(/Only the rows that changed: 1 to \d\d\d? of 3,648/).waitFor();
  await visit.end();
});

test('as much as fits goes in, and not one byte more', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  const room = capacityBytes(1920 * 1080, 3, 1);
  const full = secretOf(room);
  await page.getByLabel('Files to hide').setInputFiles(full);
  await page.getByText('0 bytes left.').waitFor();
  const image = await hide(visit, full, null);
  expect(digest((await extracted(image)).bytes)).toBe(digest(full.buffer));

  await page.getByLabel('Files to hide').setInputFiles(secretOf(room + 1));
  await page.getByText(/1 too many|too many\.$/).waitFor();
  // Told by words and by the colour, which is that of errors.
  const meter = page.getByRole('meter', { name: /^Room in the cover/ });
  expect(await meter.getAttribute('aria-valuetext')).toMatch(/^Does not fit/);
  const [bar, error] = await Promise.all([
    meter.locator('i').evaluate((element) => getComputedStyle(element).backgroundColor),
    page.locator('.error:visible').first().evaluate((element) => getComputedStyle(element).color),
  ]);
  expect(bar).toBe(error);
  await hideOpenly(page);
  const box = page.getByRole('alert');
  await box.getByText('capacity_exceeded').waitFor();
  // Both figures are told, and at the field that they concern.
  const field = page.locator('#secret-error');
  expect(await field.textContent()).toContain(String(room));
  expect(await page.getByLabel('Files to hide').getAttribute('aria-invalid')).toBe('true');
  await visit.end();
});

test('what a node measures and what the page says of room is the same', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const covers = [await photographOr(cluster, '003.png', 2), photograph('large-20mp.jpg')].filter((cover) => cover !== null);
  for (const cover of covers) {
    const form = new FormData();
    form.set('file', new Blob([new Uint8Array(cover.buffer)]), cover.name);
    const answer = await fetch(`${cluster.origin('n2')}/api/capacity`, { method: 'POST', body: form });
    const { modes } = (await answer.json()) as { modes: { mode: string; bits: number; capacity_bytes: number }[] };
    await visit.page.getByLabel('Picture to hide it in').setInputFiles(cover);
    for (const { bits, capacity_bytes: room } of modes.filter(({ mode }) => mode === 'sequential')) {
      await visit.page.locator('#bits').selectOption(String(bits));
      await visit.page.getByText(`(${room.toLocaleString('en-US')} bytes)`).waitFor();
    }
  }
  await visit.end();
});

test('files and folders that are dropped come out of one image, by the page and by name', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dropped-'));
  mkdirSync(path.join(folder, 'trip', 'day 1'), { recursive: true });
  writeFileSync(path.join(folder, 'trip', 'day 1', 'notes.txt'), 'sunny');
  writeFileSync(path.join(folder, 'a.txt'), 'first');
  writeFileSync(path.join(folder, 'b.txt'), 'second');
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await drop(visit, '.zone:visible >> nth=0', ['a.txt', 'b.txt', 'trip'].map((name) => path.join(folder, name)));
  await page.getByText(/^Hidden together as files\.tar/).waitFor();
  await page.getByText('folder, 1 file, 5 bytes').waitFor();
  // What is chosen later comes to it.
  await page.getByLabel('Files to hide').setInputFiles({ name: 'c.txt', mimeType: 'text/plain', buffer: Buffer.from('third') });
  await page.getByRole('button', { name: 'Remove b.txt' }).click();
  await hideOpenly(page);
  const [image] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /^Save/ }).click()]);
  const stego = await bytesOf(image);

  await page.getByRole('link', { name: 'Find' }).click();
  await page.getByLabel('Picture to look into').setInputFiles({ name: 'p.png', mimeType: 'image/png', buffer: stego });
  await page.getByRole('button', { name: 'Find it' }).click();
  const result = page.getByRole('region', { name: 'Found', exact: true });
  for (const [name, content] of [['a.txt', 'first'], ['c.txt', 'third'], ['trip/day 1/notes.txt', 'sunny']] as const) {
    const [file] = await Promise.all([page.waitForEvent('download'), result.getByRole('button', { name: `Save ${name}` }).click()]);
    expect(file.suggestedFilename()).toBe(path.basename(name));
    expect((await bytesOf(file)).toString()).toBe(content);
  }
  expect(await result.getByRole('button', { name: /b\.txt/ }).count()).toBe(0);
  const [whole] = await Promise.all([
    page.waitForEvent('download'),
    result.getByRole('link', { name: 'Save all as a tar archive' }).click(),
  ]);
  expect(whole.suggestedFilename()).toBe('files.tar');
  await restoredByStegctl(stego, ['a.txt', 'c.txt', 'trip/day 1/notes.txt']);
  rmSync(folder, { recursive: true });
  await visit.end();
});

/** As a person drops them: by the browser's own machinery, which knows what is a folder. */
async function drop(visit: Visit, zone: string, files: string[]): Promise<void> {
  const box = await visit.page.locator(zone).boundingBox();
  if (!box) throw new Error(`there is no ${zone}`);
  const session = await visit.context.newCDPSession(visit.page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: box.x + box.width / 2, y: box.y + 15, data });
  }
}

/** With the command line where it is built: it gives back the same files. */
async function restoredByStegctl(image: Uint8Array, files: string[]): Promise<void> {
  if (!process.env.STEG_STEGCTL) return;
  const folder = mkdtempSync(path.join(tmpdir(), 'restored-'));
  writeFileSync(path.join(folder, 'p.png'), image);
  execFileSync(process.env.STEG_STEGCTL, ['extract', '-o', path.join(folder, 'out'), path.join(folder, 'p.png')]);
  const found = readdirSync(path.join(folder, 'out'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(found.map((entry) => path.relative(path.join(folder, 'out'), path.join(entry.parentPath, entry.name))).sort()).toEqual(files);
  rmSync(folder, { recursive: true });
}

test('a click anywhere in a drop zone opens the picker; of one picture it takes one', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  for (const [hash, zones] of [['hide', 2], ['find', 1]] as const) {
    await page.goto(`${cluster.origin('n1')}/#/${hash}`);
    for (let i = 0; i < zones; i += 1) {
      const zone = page.locator('.zone:visible').nth(i);
      const [byMouse] = await Promise.all([page.waitForEvent('filechooser'), zone.click({ position: { x: 5, y: 5 } })]);
      expect(byMouse.isMultiple()).toBe(hash === 'hide' && i === 0);
    }
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'dropped-'));
  const pictures = ['a.png', 'b.png'].map((name) => path.join(folder, name));
  for (const picture of pictures) writeFileSync(picture, smallPng().buffer);
  await drop(visit, '.zone:visible >> nth=0', pictures);
  await page.getByText('This takes one file, not 2.').waitFor();
  await drop(visit, '.zone:visible >> nth=0', [folder]);
  await page.getByText('This takes one file, not a folder.').waitFor();
  rmSync(folder, { recursive: true });
  await visit.end();
});

test('the button of each form is above the fold, and its boxes and dots are no wider than they are high', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await page.getByText(/^With a key the files are encrypted/).waitFor();
  const files = Array.from({ length: 8 }, (_, i) => secretOf(1000, `file-${i}.bin`));
  const bottomOf = async (name: string) => {
    const box = await page.getByRole('button', { name, exact: true }).boundingBox();
    return (box?.y ?? Infinity) + (box?.height ?? 0);
  };
  expect(await bottomOf('Hide it')).toBeLessThan(900);
  await page.getByLabel('Files to hide').setInputFiles(files);
  await page.getByText(/^Hidden together/).waitFor();
  expect(await bottomOf('Hide it')).toBeLessThan(900);
  await hideOpenly(page);
  await page.getByLabel('Difference', { exact: true }).check();
  const widths = await page.locator('input[type=checkbox]:visible, input[type=radio]:visible').evaluateAll((inputs) =>
    inputs.map((input) => input.getBoundingClientRect().width),
  );
  expect(widths.length).toBeGreaterThan(4);
  expect(Math.max(...widths)).toBeLessThan(32);
  await page.getByRole('link', { name: 'Find' }).click();
  expect(await bottomOf('Find it')).toBeLessThan(900);
  await visit.end();
});

test('a cover that is none is told at its field', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  await page.getByLabel('Files to hide').setInputFiles(secretOf(10));
  await page.getByLabel('Picture to hide it in').setInputFiles({ ...secretOf(5000), name: 'not-a-picture.png' });
  await expect.poll(() => page.locator('#cover-error').textContent()).not.toBe('');
  await hideOpenly(page);
  await page.getByRole('alert').getByText(/see the field above/).waitFor();
  await visit.end();
});

test('a name with an emoji, text from right to left and markup stays a name', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  const name = '🐈 דו"ח <img src=x onerror=alert(1)>.txt';
  const html = '<script>document.title = "gone"</script><b>bold</b>';
  page.on('dialog', () => expect.fail('a script ran'));
  const image = await hide(visit, { name, mimeType: 'text/html', buffer: Buffer.from(html) }, null);
  const { name: kept } = await extracted(image);

  await page.getByRole('link', { name: 'Find' }).click();
  await page.getByLabel('Picture to look into').setInputFiles({ name: 'p.png', mimeType: 'image/png', buffer: image });
  await page.getByRole('button', { name: 'Find it' }).click();
  const result = page.getByRole('region', { name: 'Found', exact: true });
  await result.waitFor();
  expect(await result.getByRole('definition').first().textContent()).toBe(kept);
  expect(kept).toContain('🐈 דו');
  expect(await result.getByLabel('What was found, as text').textContent()).toBe(html);
  expect(await result.locator('b, script, img').count()).toBe(0);
  expect(await page.title()).toBe('Find – harbour');
  const [download] = await Promise.all([page.waitForEvent('download'), result.getByRole('link', { name: 'Save it' }).click()]);
  expect((await bytesOf(download)).toString()).toBe(html);
  await visit.end();
});

test('a picture in a picture is shown, but not one that could run scripts', async () => {
  const visit = await Visit.start(browser, cluster, 'n3', 'hide');
  const { page } = visit;
  const image = await hide(visit, smallPng(), null);
  await page.getByRole('link', { name: 'Find' }).click();
  const find = async (picture: Buffer) => {
    await page.getByLabel('Picture to look into').setInputFiles({ name: 'p.png', mimeType: 'image/png', buffer: picture });
    await page.getByRole('button', { name: 'Find it' }).click();
  };
  await find(image);
  const shown = page.getByRole('img', { name: 'What was found' });
  await shown.waitFor();
  expect(await shown.evaluate((picture: HTMLImageElement) => picture.decode().then(() => picture.naturalWidth))).toBe(8);

  // An SVG that is opened by its address would be a document of this origin.
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "gone"</script></svg>';
  await page.getByRole('link', { name: 'Hide' }).click();
  const hidden = await hide(visit, { name: 'a.svg', mimeType: 'image/svg+xml', buffer: Buffer.from(svg) }, null);
  await page.getByRole('link', { name: 'Find' }).click();
  await find(hidden);
  await page.getByLabel('What was found, as text').waitFor();
  expect(await page.getByLabel('What was found, as text').textContent()).toBe(svg);
  expect(await shown.count()).toBe(0);
  await visit.end();
});

test('a JPEG dropped on Find is explained, and so is a picture with nothing in it', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'find');
  const { page } = visit;
  const jpeg = photograph('large-20mp.jpg')?.buffer ?? readFileSync(new URL('../../docs/cover-and-stego.jpg', import.meta.url));
  // As a person drops it: with the mouse, on the zone.
  const data = await page.evaluateHandle((base64) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], 'holiday.jpg', { type: 'image/jpeg' }));
    return transfer;
  }, jpeg.toString('base64'));
  await page.locator('.zone:visible >> nth=0').dispatchEvent('drop', { dataTransfer: data });
  await page.getByText('holiday.jpg').waitFor();
  await page.getByRole('button', { name: 'Find it' }).click();
  const box = page.getByRole('alert');
  await box.getByText('no_payload').waitFor();
  await box.getByText(/the very file that was made/).waitFor();

  const plain = await photographOr(cluster, '005.png', 3);
  await page.getByLabel('Picture to look into').setInputFiles(plain);
  await page.getByRole('button', { name: 'Find it' }).click();
  await box.getByText('no_payload').waitFor();
  await visit.end();
});

test('everything can be done with the keyboard alone', async () => {
  const visit = await Visit.start(browser, cluster, 'n1', 'hide');
  const { page } = visit;
  const press = async (key: string, times = 1) => {
    for (let i = 0; i < times; i += 1) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');
  const reach = async (matches: () => Promise<boolean>) => {
    for (let i = 0; i < 40; i += 1) {
      await press('Tab');
      if (await matches()) return;
    }
    expect.fail(`not reached; the focus is on ${await focused()}`);
  };
  const isOn = (selector: string) => () =>
    page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);

  await press('Tab');
  expect(await focused()).toBe('Skip to the page');
  await press('Enter');
  await reach(isOn('input[type=radio][value=file]'));
  await press('ArrowDown');
  await reach(isOn('#text'));
  await page.keyboard.type('by hand');
  await reach(async () => (await focused()) === 'Hide it');
  await press('Enter');
  await reach(async () => (await focused()) === 'Hide it openly');
  await press('Enter');
  await page.getByRole('link', { name: /^Save/ }).waitFor();
  // The result is where the focus is.
  await expect.poll(focused).toBe('Hidden');
  await visit.end();
});
