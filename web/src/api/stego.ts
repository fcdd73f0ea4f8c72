/** The calls that hide, find and measure. */

import type { Answer } from './attempt';
import { idempotencyKey, type CallOptions, type Client } from './client';
import type { Key } from '../key/key.svelte';
import type { CapacityAnswer } from './types';

export interface HideForm {
  secret: File;
  /** None: the default cover. */
  cover: File | null;
  /** None of these: what the cluster's settings say. */
  bits: string;
  metadata: string;
  /** None: anyone with the image can take the secret out. */
  key: Key | null;
}

export interface Hidden {
  /** The node that did it. */
  node: string;
  image: Blob;
  width: number;
  height: number;
  bits: number;
  capacityBytes: number;
  secretBytes: number;
  payloadBytes: number;
  /** None if no sample changed. */
  psnrDb: number | null;
  notes: string[];
}

export interface Found {
  node: string;
  secret: Blob;
  mediaType: string;
  /** Null if none was hidden with it. */
  name: string | null;
  notes: string[];
}

/** Figures of a comparison, and its picture, in which each difference is `amplify` times what it is. */
export interface Compared {
  picture: Blob;
  amplify: number;
  psnrDb: number | null;
  ssim: number | null;
  differingSamples: number;
  samples: number;
}

/** The default cover's place in the dataset, and its size. */
export const DEFAULT_COVER = { path: '/api/dataset/0', name: 'default cover', width: 1920, height: 1080 } as const;

export async function hide(client: Client, form: HideForm, options: CallOptions): Promise<Hidden> {
  const body = new FormData();
  addKey(body, form.key);
  body.set('file', form.secret, form.secret.name);
  if (form.cover) body.set('cover', form.cover, form.cover.name);
  if (form.bits !== '' && !form.key) body.set('bits', form.bits);
  if (form.metadata !== '') body.set('metadata', form.metadata);
  const headers = { accept: 'image/png', 'idempotency-key': idempotencyKey() };
  const answer = await client.call({ method: 'POST', path: '/api/embed', headers, body }, options);
  return {
    node: answer.node,
    image: new Blob([answer.body], { type: 'image/png' }),
    width: figure(answer, 'width') ?? 0,
    height: figure(answer, 'height') ?? 0,
    bits: figure(answer, 'bits') ?? 0,
    capacityBytes: figure(answer, 'capacity-bytes') ?? 0,
    secretBytes: figure(answer, 'secret-size-bytes') ?? 0,
    payloadBytes: figure(answer, 'payload-size-bytes') ?? 0,
    psnrDb: figure(answer, 'psnr-db'),
    notes: readNotes(answer.header('x-stego-note')),
  };
}

/** Before the files: a node reads what it needs of an image while it arrives. */
function addKey(body: FormData, key: Key | null) {
  if (key && key.passphrase !== '') body.set('passphrase', key.passphrase);
  if (key?.file) body.set('key_file', key.file, 'key');
}

export async function find(client: Client, file: File, key: Key | null, options: CallOptions): Promise<Found> {
  const body = new FormData();
  addKey(body, key);
  body.set('file', file, file.name);
  const headers = { accept: 'application/octet-stream' };
  const answer = await client.call({ method: 'POST', path: '/api/extract', headers, body }, options);
  return {
    node: answer.node,
    secret: answer.body,
    mediaType: answer.header('x-stego-recovered-mime') ?? 'application/octet-stream',
    name: readFileName(answer.header('content-disposition')),
    notes: readNotes(answer.header('x-stego-note')),
  };
}

/** What a node says that an image can carry. */
export function capacity(client: Client, cover: File, options: CallOptions): Promise<CapacityAnswer> {
  const body = new FormData();
  body.set('file', cover, cover.name);
  return client.json<CapacityAnswer>({ method: 'POST', path: '/api/capacity', body }, options);
}

export async function compare(client: Client, a: Blob, b: Blob, options: CallOptions): Promise<Compared> {
  const body = new FormData();
  body.set('a', a, 'cover');
  body.set('b', b, 'stego.png');
  const headers = { accept: 'image/png' };
  const answer = await client.call({ method: 'POST', path: '/api/compare', headers, body }, options);
  return {
    picture: new Blob([answer.body], { type: 'image/png' }),
    amplify: figure(answer, 'amplify') ?? 1,
    psnrDb: figure(answer, 'psnr-db'),
    ssim: figure(answer, 'ssim'),
    differingSamples: figure(answer, 'differing-samples') ?? 0,
    samples: figure(answer, 'samples') ?? 0,
  };
}

export async function defaultCover(client: Client, options: CallOptions): Promise<Blob> {
  const answer = await client.call({ method: 'GET', path: DEFAULT_COVER.path }, options);
  return new Blob([answer.body], { type: 'image/png' });
}

function figure(answer: Answer, name: string): number | null {
  const text = answer.header(`x-stego-${name}`);
  return text === null ? null : Number(text);
}

/** A list of quoted strings (RFC 9651, section 3.3.3): notes have commas in them. */
export function readNotes(header: string | null): string[] {
  const quoted = header?.matchAll(/"((?:[^"\\]|\\.)*)"/g) ?? [];
  return Array.from(quoted, ([, text = '']) => text.replaceAll(/\\(.)/g, '$1'));
}

/** The name as `filename*` has it (RFC 8187); what is not there or not UTF-8 is none. */
export function readFileName(header: string | null): string | null {
  const encoded = header?.match(/filename\*=UTF-8''([^;]+)/i)?.[1];
  if (encoded === undefined) return null;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

