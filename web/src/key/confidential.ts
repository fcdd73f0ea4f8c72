/** Whether a key may leave this page: to nodes over https, or on this machine. A call may go to any node of the cluster. */

/** Why a key cannot be entered; null if it can. */
export function whyNoKey(origins: string[]): string | null {
  const exposed = origins.filter((origin) => !isConfidential(origin));
  const [first] = exposed;
  if (first === undefined) return null;
  const what = exposed.length === origins.length ? 'This page talks' : `This page may talk`;
  return `${what} to ${first} over plain HTTP, and every machine on the way could read the key. Ask for https (security.tls_cert), or use stegctl.`;
}

function isConfidential(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
