/** Names that members of an archive may have: those that stay in the folder they are unpacked into. The rules are `stegctl`'s. */

/** Files and folders in one archive, at most. */
export const MAX_MEMBERS = 50_000;
/** Folders in one another, at most. */
const MAX_DEPTH = 64;
/** Length of a whole path, at most. */
const MAX_PATH_LEN_BYTES = 1024;
/** Length of one name in it, at most. */
const MAX_COMPONENT_LEN_BYTES = 255;

const encoder = new TextEncoder();

/** Reason why a member is refused. */
export class NameError extends Error {}

/** The names in the path of a member, from the top; none for the folder itself (`./`). Throws a [`NameError`]. */
export function components(path: string): string[] {
  if (encoder.encode(path).length > MAX_PATH_LEN_BYTES) throw tooLong();
  if (path === '') throw new NameError('it has no name');
  if (path.startsWith('/')) throw new NameError('its name is an absolute path');
  if (/\p{Cs}/u.test(path)) throw new NameError('its name is not valid Unicode');
  if (/\p{Cc}/u.test(path)) throw new NameError('its name has control characters in it');
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw new NameError('its name leads out of the folder (..)');
  if (names.some((name) => encoder.encode(name).length > MAX_COMPONENT_LEN_BYTES)) throw tooLong();
  if (names.length > MAX_DEPTH) throw new NameError(`it lies more than ${MAX_DEPTH} folders deep`);
  return names;
}

function tooLong(): NameError {
  const limits = `a path may take ${MAX_PATH_LEN_BYTES} bytes, each name in it ${MAX_COMPONENT_LEN_BYTES}`;
  return new NameError(`its name is too long: ${limits}`);
}

/** A name of unknown origin, for a person: what could turn its text around is escaped. */
export function shownName(name: string): string {
  return name.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}

/** Order of paths in an archive: name by name, by code points, as their UTF-8 bytes are ordered. */
export function byPath(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const order = byCodePoints(left[i] ?? '', right[i] ?? '');
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function byCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const order = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}
