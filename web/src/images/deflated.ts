/** About how long a secret is once it is deflated, by the browser's own encoder; nodes use another one, but not a worse one. */

/** Longer secrets are not tried: the figure is a hint, and the page should stay quick. */
const MAX_BYTES = 32 << 20;

export async function deflatedBytes(secret: Blob): Promise<number | null> {
  if (secret.size > MAX_BYTES || typeof CompressionStream === 'undefined') return null;
  const deflated = secret.stream().pipeThrough(new CompressionStream('deflate-raw'));
  let length = 0;
  for (const reader = deflated.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return length;
    length += value.byteLength;
  }
}
