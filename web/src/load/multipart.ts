/**
 * Files as the body of a form (RFC 7578), in memory. `FormData` takes blobs only, of which a browser keeps 2 GB and lets go slowly:
 * a run of thousands of images would end with an upload that fails in the browser itself.
 */

import { randomHex } from '../api/random';

export interface FilePart {
  field: string;
  /** Without quotes or line ends. */
  name: string;
  bytes: Uint8Array;
}

export function multipart(parts: readonly FilePart[]): { contentType: string; body: Uint8Array<ArrayBuffer> } {
  // Nothing that is sent here can hold it but by a chance of 2^-128.
  const boundary = `part-${randomHex()}`;
  const text = new TextEncoder();
  const head = ({ field, name }: FilePart) =>
    `--${boundary}\r\ncontent-disposition: form-data; name="${field}"; filename="${name}"\r\n` +
    `content-type: application/octet-stream\r\n\r\n`;
  const pieces = parts.flatMap((part) => [text.encode(head(part)), part.bytes, text.encode('\r\n')]);
  return { contentType: `multipart/form-data; boundary=${boundary}`, body: joined([...pieces, text.encode(`--${boundary}--\r\n`)]) };
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
