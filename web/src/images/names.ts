/** Names of files that are saved. */

/**
 * The name of a stego image: the cover's, and that it is one, so that saving it does not replace the cover. Of a cover that is
 * itself called so, the next number.
 */
export function stegoName(cover: string | null): string {
  const base = cover?.replace(/\.[^.]*$/, '') || 'cover';
  const again = /^(.*)-stego(?:-(\d{1,6}))?$/.exec(base);
  if (!again) return `${base}-stego.png`;
  return `${again[1]}-stego-${Number(again[2] ?? 1) + 1}.png`;
}

/** Has the browser save a blob. */
export function save(blob: Blob, name: string): void {
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  // The download has its own hold on the blob once it began.
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}
