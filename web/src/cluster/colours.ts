/** The colour of a node by its place in the configuration; there are five, then they come again. */
const COLOURS = 5;

export function colourOf(place: number): string {
  return `--node-${(place % COLOURS) + 1}`;
}
