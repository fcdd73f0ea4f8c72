/**
 * How hard a passphrase is to guess, roughly: a bound from above by its length and its kinds of characters, lowered for what
 * people do. `stegctl` judges with lists of leaked passwords; a page has none, and says no more than it knows.
 */

/** Bits that a word of one's own choice adds; six drawn words have eleven each. */
const BITS_PER_WORD = 11;
/** Up to here it may be guessed by trying: each try costs a tenth of a second of a core. */
const WEAK_BELOW_BITS = 45;
const STRONG_FROM_BITS = 60;

export type Strength = 'none' | 'weak' | 'fair' | 'strong';

const KINDS: [RegExp, number][] = [
  [/\p{Ll}/u, 26],
  [/\p{Lu}/u, 26],
  [/\p{Nd}/u, 10],
  [/[^\p{L}\p{Nd}]/u, 33],
  [/[^\x00-\x7F]/, 100],
];

/** Estimate of the bits of a passphrase. */
export function bitsOf(passphrase: string): number {
  const characters = [...passphrase];
  if (characters.length === 0) return 0;
  const alphabet = KINDS.reduce((sum, [kind, size]) => (kind.test(passphrase) ? sum + size : sum), 0);
  // Repetitions and runs (aaa, abc, 321) add next to nothing.
  const telling = characters.filter((character, i) => {
    const before = characters[i - 1];
    if (before === undefined) return true;
    const step = (character.codePointAt(0) ?? 0) - (before.codePointAt(0) ?? 0);
    return Math.abs(step) > 1;
  });
  const byCharacters = telling.length * Math.log2(alphabet);
  const words = new Set(passphrase.toLowerCase().split(/[^\p{L}]+/u).filter((word) => word.length > 2));
  const rest = passphrase.replace(/\p{L}{3,}/gu, '').replace(/[\s._-]+/g, '');
  const byWords = words.size * BITS_PER_WORD + [...rest].length * 4;
  return Math.floor(words.size === 0 ? byCharacters : Math.min(byCharacters, byWords));
}

export function strengthOf(passphrase: string): Strength {
  const bits = bitsOf(passphrase);
  if (passphrase === '') return 'none';
  if (bits < WEAK_BELOW_BITS) return 'weak';
  return bits < STRONG_FROM_BITS ? 'fair' : 'strong';
}
