/** How full a cover is. */

/** From here on there is little left. */
const NEARLY_FULL = 0.9;

export type Fill = 'empty' | 'fits' | 'nearly full' | 'too full';

export function fillOf(neededBytes: number, roomBytes: number): Fill {
  if (neededBytes > roomBytes) return 'too full';
  if (neededBytes === 0) return 'empty';
  return neededBytes > roomBytes * NEARLY_FULL ? 'nearly full' : 'fits';
}
