import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect, test } from 'vitest';

import { pack, secretOf, type Item } from './pack';
import { ArchiveError, unpack } from './unpack';

const AT = 1_700_000_000;
const LONG = `letters/${'ü'.repeat(60)}.txt`;

function file(name: string, content: string): Item {
  return { path: name, file: new File([content], name.split('/').at(-1) ?? '', { lastModified: AT * 1000 + 7 }) };
}

const ITEMS: Item[] = [
  file('letters/to anna.txt', 'Dear Anna'),
  { path: 'letters', file: null },
  file(LONG, 'x'.repeat(1000)),
  file('letters-2.txt', ''),
  { path: 'letters/empty', file: null },
  file('letters/empty/..a', 'b'),
];

const SORTED = ['letters', 'letters/empty', 'letters/empty/..a', 'letters/to anna.txt', LONG, 'letters-2.txt'];

async function bytesOf(blob: Blob): Promise<Buffer<ArrayBuffer>> {
  return Buffer.from(await blob.arrayBuffer());
}

test('an archive is the one that stegctl makes, byte for byte', async () => {
  // Of the same tree with the modes 644 and 755 and this time, `stegctl embed` hides a secret of this digest.
  const made = await bytesOf(pack(ITEMS));
  expect(createHash('sha256').update(made).digest('hex')).toBe('c015d4b4786b4d50ac4d044ef1f399d1715d85d19fffae75eff2a715ec4152f3');
});

test('another program reads an archive', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tar-'));
  try {
    const archive = path.join(folder, 'a.tar');
    writeFileSync(archive, await bytesOf(pack(ITEMS)));
    const listed = spawnSync('tar', ['--quoting-style=literal', '-tvf', archive], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' } });
    if (listed.error) return context.skip('there is no tar here');
    expect(listed.stderr).toBe('');
    const lines = listed.stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^.*\d\d:\d\d /, '').replace(/\/$/, ''))).toEqual(SORTED);
    expect(lines[0]).toMatch(/^drwxr-xr-x 0\/0 +0 2023-11-14 22:13 /);
    expect(lines[3]).toMatch(/^-rw-r--r-- 0\/0 +9 2023-11-14 22:13 /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what was packed comes out again', async () => {
  const found = await unpack(pack(ITEMS));
  expect(found.map((member) => member.path)).toEqual(SORTED);
  const contents = await Promise.all(found.map(({ content }) => content?.text() ?? null));
  expect(contents).toEqual([null, null, 'b', 'Dear Anna', 'x'.repeat(1000), '']);
});

test('one file stays a file, everything else is an archive with a name', () => {
  const name = (items: Item[]) => secretOf(items)?.name ?? null;
  const check = (items: Item[], expected: [string, string] | null) => {
    const secret = secretOf(items);
    expect(secret && [secret.name, secret.type]).toEqual(expected);
  };
  const kind = 'application/vnd.steg.files+tar';
  expect(name([])).toBeNull();
  check([file('a.txt', 'a')], ['a.txt', '']);
  check([file('a.txt', 'a'), file('b.txt', 'b')], ['files.tar', kind]);
  check([{ path: 'empty', file: null }], ['empty.tar', kind]);
  check([file('trip/a.jpg', 'a'), file('trip/b.jpg', 'b')], ['trip.tar', kind]);
});

test('names that cannot be given back everywhere are refused before anything is sent', () => {
  const check = (name: string, why: RegExp) => expect(() => pack([file(name, ''), file('other', '')])).toThrow(why);
  check('../x', /leads out of the folder/);
  check('/etc/passwd', /absolute/);
  check('a\u001b[2J', /control characters/);
  check('a'.repeat(256), /too long/);
  check('a/'.repeat(65), /64 folders deep/);
  check('\ud800', /Unicode/);
  check('other', /twice/);
  check('other/x', /twice/);
});

/** An archive of one member as some other program writes it. */
function foreign(name: string, type: string, content = '', change: (block: Buffer) => void = () => {}): Buffer<ArrayBuffer> {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${Buffer.byteLength(content).toString(8).padStart(11, '0')}\0`, 124);
  block.write('00000000000\0', 136);
  block.write(type, 156);
  block.write('ustar\x0000', 257, 'latin1');
  change(block);
  block.fill(0x20, 148, 156);
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
  const padded = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512);
  padded.write(content);
  return Buffer.concat([block, padded]);
}

const END = Buffer.alloc(1024);
const read = (...parts: Buffer<ArrayBuffer>[]) => unpack(new Blob([...parts, END]));

test('archives of other programs are read: ustar prefixes and pax names', async () => {
  const prefixed = foreign('b.txt', '0', 'hi', (block) => block.write('deep/er', 345));
  expect((await read(prefixed)).map((member) => member.path)).toEqual(['deep/er/b.txt']);
  const pax = foreign('x', 'x', '20 path=größe.txt\n');
  expect((await read(foreign('g', 'g', '12 a=global\n'), pax, foreign('short', '0', 'hi'))).map((member) => member.path)).toEqual(['größe.txt']);
  expect(await read(foreign('./', '5'))).toEqual([]);
});

test('an archive that would write elsewhere, or is broken, is not offered', async () => {
  const check = (why: RegExp, ...parts: Buffer<ArrayBuffer>[]) => expect(read(...parts)).rejects.toThrow(why);
  await check(/leads out/, foreign('../x', '0'));
  await check(/absolute/, foreign('/x', '0'));
  await check(/symbolic link/, foreign('x', '2'));
  await check(/hard link/, foreign('x', '1'));
  await check(/device/, foreign('x', '3'));
  await check(/twice/, foreign('x', '0'), foreign('./x', '0'));
  await check(/twice/, foreign('x', '0', 'a'), foreign('x/y', '0'));
  const broken = foreign('x', '0');
  broken[0] = 0x79;
  await check(/checksum/, broken);
  await expect(unpack(new Blob([foreign('x', '0', 'content').subarray(0, 600).subarray(0, 515)]))).rejects.toThrow(/cut off/);
  await expect(unpack(new Blob([Buffer.alloc(100, 1)]))).rejects.toThrow(ArchiveError);
});
