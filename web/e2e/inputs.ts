/** Files to hide and covers to hide them in: photographs where there are some, covers of the dataset elsewhere. */

import { createHash, randomBytes } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';
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

/** A small picture, as a secret. */
export function smallPng(): Upload {
  const chunk = (type: string, data: Buffer) => {
    const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    checksum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, checksum]);
  };
  // 8 × 8 grey pixels of 8 bits, each row without a filter.
  const header = Buffer.from([0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0]);
  const rows = Buffer.alloc(8 * 9, 120).map((value, i) => (i % 9 === 0 ? 0 : value));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return { name: 'small.png', mimeType: 'image/png', buffer: Buffer.concat(parts) };
}
