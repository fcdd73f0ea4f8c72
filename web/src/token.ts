/** The admin token that came in the address: `#token=…`, as a node or `stegctl console` prints it; after a page, `#/settings?token=…`. */

const WITH_TOKEN = /^#\/?(?:([a-z]+)\?)?token=([\x21-\x7e]+)$/;

/** The token in the part of an address behind `#`, if there is one. */
export function tokenIn(hash: string): string | null {
  const given = WITH_TOKEN.exec(hash)?.[2];
  if (given === undefined) return null;
  try {
    return decodeURIComponent(given);
  } catch {
    return null;
  }
}

/** Takes the token out of the address bar and out of this entry of the history, so that nobody reads or shares it there. */
export function takeToken(location: Location, history: History): string | null {
  const page = WITH_TOKEN.exec(location.hash)?.[1] ?? '';
  const token = tokenIn(location.hash);
  if (token !== null) history.replaceState(null, '', `${location.pathname}${location.search}#/${page}`);
  return token;
}
