/** The pages of the console, in their order. */

export const PAGES = ['hide', 'find', 'cluster', 'drill', 'settings'] as const;
export type Page = (typeof PAGES)[number];

export const TITLES: Record<Page, string> = {
  hide: 'Hide',
  find: 'Find',
  cluster: 'Cluster',
  drill: 'Drill',
  settings: 'Settings',
};

/**
 * The page of an address: by its part behind `#`, the first page where there is none. Null where there is no such page, and
 * at a path that is not the console's: a node answers those with the console and the status 404.
 */
export function pageOf({ pathname, hash }: Pick<Location, 'pathname' | 'hash'>): Page | null {
  if (pathname !== '/') return null;
  const name = hash.replace(/^#\/?/, '');
  if (name === '') return PAGES[0];
  return PAGES.find((page) => page === name) ?? null;
}
