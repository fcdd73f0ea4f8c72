import { expect, test } from 'vitest';

import { whyNoKey } from './confidential';

test('a key goes over https, or stays on this machine', () => {
  for (const origin of ['https://10.0.0.1:8081', 'http://127.0.0.1:8081', 'http://localhost:8081', 'http://[::1]:8081', 'http://127.1.2.3']) {
    expect(whyNoKey([origin]), origin).toBeNull();
  }
  for (const origin of ['http://10.0.0.1:8081', 'http://node-1.lan', 'http://127.0.0.1.evil.example', 'http://[fd00::1]:8081']) {
    expect(whyNoKey([origin]), origin).toContain(origin);
    expect(whyNoKey(['http://127.0.0.1:8081', origin]), origin).toContain(origin);
  }
});
