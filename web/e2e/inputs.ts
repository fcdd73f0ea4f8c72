/** Files to hide and covers to hide them in: photographs where there are some, covers of the dataset elsewhere. */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import type { Cluster } from './cluster';

export interface Upload {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

/** In CI the photographs have to be there. */
export function photograph(name: string): Upload | null {
  const folder = process.env.STEG_PHOTOS;
  const file = folder ? path.join(folder, name) : null;
  if (file && existsSync(file)) {
    return { name, mimeType: name.endsWith('.jpg') ? 'image/jpeg' : 'image/png', buffer: readFileSync(file) };
  }
  if (process.env.CI) throw new Error(`the photograph ${name} is needed in CI (STEG_PHOTOS)`);
  return null;
}

/** A photograph, or the image of this place in the dataset. */
export async function photographOr(cluster: Cluster, name: string, index: number): Promise<Upload> {
  const found = photograph(name);
  if (found) return found;
  const answer = await fetch(`${cluster.origin('n1')}/api/dataset/${index}`);
  return { name: 'made.png', mimeType: 'image/png', buffer: Buffer.from(await answer.arrayBuffer()) };
}

/** Bytes that do not compress. */
export function secretOf(length: number, name = 'secret.bin'): Upload {
  return { name, mimeType: 'application/octet-stream', buffer: randomBytes(length) };
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
