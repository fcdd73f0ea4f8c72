/** Writes the table of what helps against each problem from the OpenAPI document: `npm run types` does it. */

import { readFileSync, writeFileSync } from 'node:fs';

const document = JSON.parse(readFileSync('openapi.json', 'utf8'));
// What is not in the table helps never: most problems, which a page need not carry.
const helping = Object.entries(document['x-retry']).filter(([, retry]) => retry !== 'never');
const lines = helping.map(([code, retry]) => `  ${code}: '${retry}',`);
writeFileSync(
  'src/api/retry.ts',
  `/** Made from openapi.json by retry.mjs; do not edit. */

export type Retry = 'elsewhere' | 'later' | 'same_key' | 'never';

/** What helps against a problem, by its code. */
export const RETRY: Readonly<Record<string, Retry>> = {
${lines.join('\n')}
};
`,
);
