/** The admin token that came in the address: `#token=…`, as a node or `stegctl console` prints it. */

const PARAMETER = /^#\/?(?:[a-z]+\?)?token=([\x21-\x7e]+)$/;

/** The token in the part of an address behind `#`, if there is one. */
export function tokenIn(hash: string): string | null {
  const given = PARAMETER.exec(hash)?.[1];
  if (given === undefined) return null;
  try {
    return decodeURIComponent(given);
  } catch {
    return null;
  }
}

/** Takes the token out of the address bar and out of this entry of the history, so that nobody reads or shares it there. */
export function takeToken(location: Location, history: History): string | null {
  const token = tokenIn(location.hash);
  if (token !== null) history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return token;
}
