/** The beginning of a blob as text, if it is UTF-8 and text: what a person can read, without control characters. */
export async function readText(blob: Blob, maxBytes: number): Promise<string | null> {
  const bytes = new Uint8Array(await blob.slice(0, maxBytes).arrayBuffer());
  try {
    // A character may be cut in two where the preview ends.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: blob.size > maxBytes });
    return isReadable(text) ? text : null;
  } catch {
    return null;
  }
}

function isReadable(text: string): boolean {
  return !/[\u0000-\u0008\u000e-\u001a\u001c-\u001f\u007f]/.test(text);
}
