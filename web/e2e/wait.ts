/** Waits until something holds; fails with what was seen last. */
const POLL_MS = 50;

export async function until<T>(what: string, look: () => Promise<T | null | false>, limitMs = 30_000): Promise<T> {
  const end = Date.now() + limitMs;
  let last: unknown = null;
  while (Date.now() < end) {
    try {
      const seen = await look();
      if (seen !== null && seen !== false) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`waited ${limitMs} ms for: ${what}; last: ${String(last)}`);
}
