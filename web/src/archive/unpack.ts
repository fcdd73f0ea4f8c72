/**
 * An archive of unknown origin into a list of files: checked as a whole, by the rules of `stegctl extract`, before anything of it
 * is offered. Reads ustar, GNU's long names and pax.
 */

import { components, MAX_MEMBERS, NameError, shownName } from './names';
import { BLOCK, paddingOf } from './pack';

/** A file or folder in an archive. */
export interface Found {
  path: string;
  /** Null: a folder. */
  content: Blob | null;
}

/** Reason why nothing of an archive is offered. */
export class ArchiveError extends Error {}

/** Reads an archive; contents are slices of it. Throws an [`ArchiveError`]. */
export async function unpack(archive: Blob): Promise<Found[]> {
  const bytes = new Uint8Array(await archive.arrayBuffer());
  const members: Found[] = [];
  for (const { path, type, start, size } of entriesOf(bytes)) {
    if (members.length === MAX_MEMBERS) {
      throw new ArchiveError(`the archive has more than ${MAX_MEMBERS} files and folders in it`);
    }
    const names = checked(path);
    const isFolder = type === '5' || (isRegular(type) && size === 0 && path.endsWith('/'));
    if (!isFolder && !isRegular(type) && type !== '7') throw refused(path, `it is ${KINDS[type] ?? 'neither a file nor a folder'}`);
    if (names.length === 0) {
      if (isFolder) continue;
      throw refused(path, 'it has no name');
    }
    // Of no type that a browser would run.
    const content = isFolder ? null : archive.slice(start, start + size, 'application/octet-stream');
    members.push({ path: names.join('/'), content });
  }
  checkEachIsOnce(members);
  return members;
}

const KINDS: Record<string, string> = {
  1: 'a hard link',
  2: 'a symbolic link',
  3: 'a device',
  4: 'a device',
  6: 'a pipe',
  S: 'a sparse file',
};

const isRegular = (type: string) => type === '0' || type === '\0';

interface Entry {
  path: string;
  type: string;
  start: number;
  size: number;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The members with their whole names. Ends at a block of zeros, or with the archive. */
function* entriesOf(bytes: Uint8Array): Generator<Entry> {
  let longName: Uint8Array | null = null;
  let pax = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const block = bytes.subarray(at, at + BLOCK);
    if (block.length < BLOCK) throw damaged('it ends within a header');
    if (block.every((byte) => byte === 0)) return;
    checkSum(block);
    const type = String.fromCharCode(block[156] ?? 0);
    const isMeta = type === 'L' || type === 'K' || type === 'x' || type === 'g';
    const size = !isMeta && pax.has('size') ? Number(pax.get('size')) : numberAt(block, 124, 12);
    const start = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0) throw damaged('a length is not a number');
    if (start + size > bytes.length) throw damaged('a member is cut off');
    at = start + size + paddingOf(size);
    const content = bytes.subarray(start, start + size);
    if (type === 'L') longName = untilZero(content);
    else if (type === 'x') pax = paxOf(content);
    if (isMeta) continue;
    yield { path: pax.get('path') ?? text(longName ?? nameOf(block)), type, start, size };
    longName = null;
    pax = new Map();
  }
}

function checkSum(block: Uint8Array): void {
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  if (sum !== numberAt(block, 148, 8)) throw damaged('the checksum of a header is wrong');
}

/** Octal digits, or, with the first bit set, a binary number (GNU). */
function numberAt(block: Uint8Array, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if ((field[0] ?? 0) & 0x80) return field.reduce((value, byte, i) => value * 256 + (i === 0 ? byte & 0x7f : byte), 0);
  const digits = String.fromCharCode(...untilZero(field)).trim();
  if (!/^[0-7]+$/.test(digits)) throw damaged('a header has no number where one belongs');
  return Number.parseInt(digits, 8);
}

/** The name in a header; ustar has the beginning of a long one in a field of its own. */
function nameOf(block: Uint8Array): Uint8Array {
  const name = untilZero(block.subarray(0, 100));
  const isUstar = String.fromCharCode(...block.subarray(257, 265)) === 'ustar\u000000';
  const prefix = isUstar ? untilZero(block.subarray(345, 500)) : new Uint8Array();
  return prefix.length === 0 ? name : new Uint8Array([...prefix, 0x2f, ...name]);
}

/** Records `length key=value\n` (POSIX.1-2017, pax). */
function paxOf(content: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = space < 0 ? NaN : Number(text(content.subarray(at, space)));
    if (!Number.isSafeInteger(length) || length < 5 || at + length > content.length) throw damaged('a pax record is broken');
    const record = text(content.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    if (equals < 0) throw damaged('a pax record is broken');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw damaged('a name in it is not UTF-8');
  }
}

function checked(path: string): string[] {
  try {
    return components(path);
  } catch (error) {
    if (error instanceof NameError) throw refused(path, error.message);
    throw error;
  }
}

function checkEachIsOnce(members: readonly Found[]): void {
  const twice = (path: string) => new ArchiveError(`the archive has ${shownName(path)} in it twice`);
  const kinds = new Map<string, Found>();
  for (const member of members) {
    if (kinds.has(member.path)) throw twice(member.path);
    kinds.set(member.path, member);
  }
  for (const { path } of members) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const above = path.slice(0, at);
      if (kinds.get(above)?.content) throw twice(above);
    }
  }
}

function refused(path: string, why: string): ArchiveError {
  return new ArchiveError(`the archive has a member ${shownName(path)} that is not restored: ${why}`);
}

function damaged(what: string): ArchiveError {
  return new ArchiveError(`the archive is damaged: ${what}`);
}
