import { expect, test } from 'vitest';

import { multipart } from './multipart';

test('another implementation reads the same files', async () => {
  const files = [
    { field: 'file', name: 'secret.bin', bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte) },
    { field: 'cover', name: 'cover.png', bytes: new TextEncoder().encode('\r\n--part-\r\n') },
    { field: 'empty', name: 'empty', bytes: new Uint8Array() },
  ];
  const { contentType, body } = multipart(files);
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
  expect([...form.keys()]).toEqual(['file', 'cover', 'empty']);
  for (const { field, name, bytes } of files) {
    const file = form.get(field) as File;
    expect(file.name).toBe(name);
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes);
  }
});
