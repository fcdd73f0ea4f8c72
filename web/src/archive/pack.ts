/**
 * Several files and folders as one secret: the tar archive that `stegctl embed` makes of them, so that `stegctl extract`
 * restores it. GNU format, members sorted, owned by nobody, times in whole seconds. A browser knows no permissions: files get
 * 644 and folders 755.
 */

import { byPath, components, MAX_MEMBERS, NameError, shownName } from './names';

/** The media type of such a secret. It tells it from a tar archive that somebody hides as a file and wants back as a file. */
export const MEDIA_TYPE = 'application/vnd.steg.files+tar';

/** Unit of a tar archive, in bytes. */
export const BLOCK = 512;
/** Length of a name in a header, in bytes, at most; a longer one takes a member of its own. */
const SHORT_NAME = 100;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
/** The longest content whose length eleven octal digits can tell. */
const MAX_CONTENT = 0o77777777777;

const encoder = new TextEncoder();

/** A file or folder that was chosen or dropped. */
export interface Item {
  /** Its path, with `/` between the names. */
  path: string;
  /** Null: a folder. */
  file: File | null;
}

/** What is hidden for these items: a file alone as it is, everything else as an archive. Throws a [`NameError`]. */
export function secretOf(items: readonly Item[]): File | null {
  const [first, second] = items;
  if (!first) return null;
  if (!second && first.file && !first.path.includes('/')) return first.file;
  return pack(items);
}

/** The first names of the paths, each once. */
export function topsOf(items: readonly Item[]): string[] {
  return [...new Set(items.map(({ path }) => path.split('/')[0] ?? ''))];
}

/** The archive. It refers to the files and holds no copy of them. */
export function pack(items: readonly Item[]): File {
  const members = membersOf(items).sort((a, b) => byPath(a.path, b.path));
  if (members.length > MAX_MEMBERS) {
    throw new NameError(`there are more than ${MAX_MEMBERS} files and folders in what is to be hidden`);
  }
  const parts: BlobPart[] = [];
  for (const { path, file, modified } of members) {
    const name = encoder.encode(file ? path : `${path}/`);
    if (name.length > SHORT_NAME) parts.push(longName(name));
    const size = file?.size ?? 0;
    parts.push(header({ name: name.subarray(0, wholeCharacters(name)), type: file ? '0' : '5', mode: file ? FILE_MODE : FOLDER_MODE, size, modified }));
    if (file) parts.push(file, new Uint8Array(paddingOf(size)));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  const tops = topsOf(items);
  const name = tops.length === 1 ? `${tops[0]}.tar` : 'files.tar';
  return new File(parts, name, { type: MEDIA_TYPE });
}

interface Member extends Item {
  /** Seconds since 1970. */
  modified: number;
}

/** All items, and the folders that they lie in. */
function membersOf(items: readonly Item[]): Member[] {
  const members = new Map<string, Member>();
  const add = ({ path, file }: Item, modified: number) => {
    const known = members.get(path);
    if (known && (known.file || file)) throw new NameError(`${shownName(path)} is there twice`);
    // A folder is as old as the newest file in it: browsers tell nothing else.
    members.set(path, { path, file, modified: Math.max(known?.modified ?? 0, modified) });
  };
  for (const { path: given, file } of items) {
    const names = checked(given);
    const modified = file ? Math.max(Math.floor(file.lastModified / 1000), 0) : 0;
    if (file && file.size > MAX_CONTENT) throw new NameError(`${shownName(given)} is too large for an archive`);
    add({ path: names.join('/'), file }, modified);
    for (let depth = 1; depth < names.length; depth += 1) {
      add({ path: names.slice(0, depth).join('/'), file: null }, modified);
    }
  }
  const now = Math.floor(Date.now() / 1000);
  return [...members.values()].map((member) => (member.file || member.modified > 0 ? member : { ...member, modified: now }));
}

function checked(path: string): string[] {
  try {
    const names = components(path);
    if (names.length === 0) throw new NameError('it has no name');
    return names;
  } catch (error) {
    if (!(error instanceof NameError)) throw error;
    throw new NameError(`${shownName(path)} cannot be hidden: ${error.message}`);
  }
}

interface Head {
  name: Uint8Array;
  type: string;
  mode: number;
  size: number;
  modified: number;
}

/** A header of GNU tar: the fields of POSIX.1-1988 ustar at the same places, another magic. */
function header({ name, type, mode, size, modified }: Head): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  block.set(name, 0);
  writeOctal(block, 100, 8, mode);
  writeOctal(block, 108, 8, 0);
  writeOctal(block, 116, 8, 0);
  writeOctal(block, 124, 12, size);
  writeOctal(block, 136, 12, modified);
  block.set(encoder.encode(type), 156);
  block.set(encoder.encode('ustar  \0'), 257);
  // The sum is taken with spaces in its own place.
  block.fill(0x20, 148, 156);
  writeOctal(block, 148, 8, block.reduce((sum, byte) => sum + byte, 0));
  return block;
}

/** Digits up to the last byte of the field, which is 0. */
function writeOctal(block: Uint8Array, at: number, length: number, value: number): void {
  block.set(encoder.encode(value.toString(8).padStart(length - 1, '0')), at);
  block[at + length - 1] = 0;
}

/** The member before one whose name does not fit: the name, ended by a 0, is its content. */
function longName(name: Uint8Array): Uint8Array<ArrayBuffer> {
  const size = name.length + 1;
  const block = header({ name: encoder.encode('././@LongLink'), type: 'L', mode: FILE_MODE, size, modified: 0 });
  const member = new Uint8Array(BLOCK + size + paddingOf(size));
  member.set(block);
  member.set(name, BLOCK);
  return member;
}

/** As much of a long name as its header takes, without a part of a character. */
function wholeCharacters(name: Uint8Array): number {
  let end = Math.min(name.length, SHORT_NAME);
  while (end < name.length && ((name[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return end;
}

export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}
