/** Which page is shown: the part of the address behind `#`, so that going to another one asks nobody for anything. */

import { pageOf, type Page } from './pages';

export class Route {
  /** Null: there is no such page. */
  page = $state<Page | null>(pageOf(location));

  /** Follows the address until the returned function is called. */
  follow(onChange: () => void): () => void {
    const changed = () => {
      const page = pageOf(location);
      if (page === this.page) return;
      this.page = page;
      onChange();
    };
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }
}

/** The field of the admin token on Settings. Links to it put the focus there, on whichever page they are. */
class TokenField {
  element: HTMLInputElement | null = null;

  /** After the page has changed, which takes the focus. */
  readonly focus = (): void => {
    setTimeout(() => this.element?.focus());
  };
}

export const tokenField = new TokenField();
