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

/** The page of an address, by its part behind `#`. */
export function pageOf(hash: string): Page {
  const name = hash.replace(/^#\/?/, '');
  return PAGES.find((page) => page === name) ?? 'hide';
}
