/** Light or dark: as the system says, unless the user chose one. */

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'theme';

export class ThemeChoice {
  chosen = $state<Theme>(remembered());

  constructor() {
    apply(this.chosen);
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    apply(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // A browser that keeps nothing forgets it with the page.
    }
  }
}

function remembered(): Theme {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? 'system';
  } catch {
    return 'system';
  }
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
}
