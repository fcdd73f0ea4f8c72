/** What a person chose or dropped, as files and folders with their paths. */

import { MAX_MEMBERS, NameError } from './names';
import type { Item } from './pack';

/** Files of a picker; of one for folders, with their paths in the folder. */
export function itemsOf(files: Iterable<File>): Item[] {
  return Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * Everything that was dropped, folders with all that is in them. Has to be called while the event is handled: browsers empty it
 * afterwards.
 */
export async function itemsDropped({ items, files }: DataTransfer): Promise<Item[]> {
  const entries = Array.from(items, (item) => item.webkitGetAsEntry?.() ?? null);
  // Where a browser has no entries, or the drop was made by a script, there are files alone.
  if (entries.some((entry) => entry === null)) return itemsOf([...files]);
  const found: Item[] = [];
  for (const entry of entries) if (entry) await take(entry, entry.name, found);
  return found;
}

/** A file or folder, and all below it. */
async function take(entry: FileSystemEntry, path: string, found: Item[]): Promise<void> {
  if (found.length === MAX_MEMBERS) {
    throw new NameError(`there are more than ${MAX_MEMBERS} files and folders in what was dropped`);
  }
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path, file });
    return;
  }
  found.push({ path, file: null });
  for (const child of await childrenOf(entry as FileSystemDirectoryEntry)) await take(child, `${path}/${child.name}`, found);
}

/** A reader gives some entries at a time, and none when there are no more. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return children;
    children.push(...some);
  }
}

/** The items of before and those that came; what has the same name at the top takes the place of what was there. */
export function withItems(before: readonly Item[], added: readonly Item[]): { items: Item[]; replaced: string[] } {
  const tops = new Set(added.map(topOf));
  const replaced = new Set(before.filter((item) => tops.has(topOf(item))).map(topOf));
  return { items: [...before.filter((item) => !tops.has(topOf(item))), ...added], replaced: [...replaced] };
}

export function topOf({ path }: Item): string {
  return path.split('/')[0] ?? '';
}

/** What is listed of a choice: a line for each file or folder at the top. */
export interface Top {
  name: string;
  isFolder: boolean;
  files: number;
  bytes: number;
}

export function topsListed(items: readonly Item[]): Top[] {
  const tops = new Map<string, Top>();
  for (const item of items) {
    const name = topOf(item);
    const top = tops.get(name) ?? { name, isFolder: false, files: 0, bytes: 0 };
    top.isFolder ||= item.file === null || item.path.includes('/');
    if (item.file) {
      top.files += 1;
      top.bytes += item.file.size;
    }
    tops.set(name, top);
  }
  return [...tops.values()];
}

/** The first file that cannot be read any more, by its path. A browser sends no file that has changed since it was chosen. */
export async function unreadable(items: readonly Item[]): Promise<string | null> {
  for (const { path, file } of items) {
    const isReadable = await file?.slice(0, 1).arrayBuffer().then(
      () => true,
      () => false,
    );
    if (isReadable === false) return path;
  }
  return null;
}
