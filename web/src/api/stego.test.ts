import { expect, test } from 'vitest';

import { readFileName, readNotes } from './stego';

test('notes are quoted, with their commas', () => {
  expect(readNotes(null)).toEqual([]);
  expect(readNotes('"one, with a comma", "a \\"quoted\\" word", "\\\\"')).toEqual(['one, with a comma', 'a "quoted" word', '\\']);
});

test('file names of any script come whole', () => {
  const check = (header: string | null, name: string | null) => expect(readFileName(header)).toBe(name);
  check(`attachment; filename="_.txt"; filename*=UTF-8''%F0%9F%90%88%20%D7%A9.txt`, '🐈 ש.txt');
  check('attachment', null);
  check("attachment; filename*=UTF-8''%FF", null);
  check(null, null);
});
