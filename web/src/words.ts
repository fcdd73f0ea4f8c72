/** Figures for people. */

const UNITS = ['bytes', 'KB', 'MB', 'GB'] as const;

/** A length: exact below 1,000 bytes, three digits above; decimal units, as file managers have them. */
export function bytes(count: number): string {
  if (count === 1) return '1 byte';
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A whole number with thousands apart. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** Milliseconds: two digits that matter. */
export function ms(value: number | null | undefined): string {
  if (value == null) return '–';
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value >= 99.5 ? value.toFixed(0) : value.toFixed(1)} ms`;
}

/** A number of things a second, as the plots write it. */
export function rate(value: number | null | undefined): string {
  if (value == null) return '–';
  return `${value.toFixed(value >= 99.5 ? 0 : 1)} /s`;
}

export function percent(value: number | null | undefined): string {
  return value == null ? '–' : `${value.toFixed(0)} %`;
}

/** How long something runs: its two largest units. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return '–';
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(' ');
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB', { hour12: false });
}

export function dayAndClock(at: number | string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return String(at);
  return time.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
}
