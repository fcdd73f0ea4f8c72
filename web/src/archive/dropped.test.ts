import { expect, test } from 'vitest';

import { itemsDropped, topsListed, withItems } from './dropped';
import { pack, type Item } from './pack';
import { unpack } from './unpack';

const file = (path: string, content = ''): Item => ({ path, file: new File([content], path.split('/').at(-1) ?? '') });

/** As a browser gives a folder: some of its entries at a time. */
function folder(name: string, children: object[]): object {
  const createReader = () => {
    const left = [...children];
    return { readEntries: (done: (some: object[]) => void) => done(left.splice(0, 2)) };
  };
  return { isFile: false, name, createReader };
}

const leaf = (name: string, content: string) => ({
  isFile: true,
  name,
  file: (done: (file: File) => void) => done(new File([content], name)),
});

function transfer(entries: (object | null)[], files: File[] = []): DataTransfer {
  return { items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })), files } as unknown as DataTransfer;
}

test('a drop of files and folders is taken whole, every one of them', async () => {
  const many = Array.from({ length: 5 }, (_, i) => leaf(`${i}.txt`, String(i)));
  const items = await itemsDropped(transfer([leaf('a.txt', 'a'), folder('trip', [...many, folder('empty', [])]), leaf('b.txt', 'b')]));
  expect(items.map(({ path }) => path)).toEqual([
    'a.txt',
    'trip',
    ...many.map((_, i) => `trip/${i}.txt`),
    'trip/empty',
    'b.txt',
  ]);
  const found = await unpack(pack(items));
  expect(found.map(({ path }) => path).sort()).toEqual(items.map(({ path }) => path).sort());
});

test('without entries the files are taken', async () => {
  const items = await itemsDropped(transfer([null, null], [new File(['a'], 'a'), new File(['b'], 'b')]));
  expect(items.map(({ path }) => path)).toEqual(['a', 'b']);
});

test('what comes is added, and takes the place of what has its name', () => {
  const { items, replaced } = withItems([file('a', '1'), file('trip/x', '22')], [file('b', '3'), file('trip/y', '4444')]);
  expect(items.map(({ path }) => path)).toEqual(['a', 'b', 'trip/y']);
  expect(replaced).toEqual(['trip']);
  expect(topsListed(items)).toEqual([
    { name: 'a', isFolder: false, files: 1, bytes: 1 },
    { name: 'b', isFolder: false, files: 1, bytes: 1 },
    { name: 'trip', isFolder: true, files: 1, bytes: 4 },
  ]);
});
