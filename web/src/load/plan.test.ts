import { describe, expect, test } from 'vitest';

import { defaultOptions, faultsOf, maxSecretBytes, plannedOf, Schedule, taskOf, type Options } from './plan';

const BOUNDS = { nodes: 3, bits: 1, maxSecretBytes: 16_000_000 };
const options = (changed: Partial<Options> = {}): Options => ({ ...defaultOptions(3), ...changed });

describe('what was typed', () => {
  const check = (changed: Partial<Options>, faults: (keyof Options)[]) =>
    expect(Object.keys(faultsOf(options(changed), BOUNDS)), JSON.stringify(changed)).toEqual(faults);

  test('is right by default, for any number of nodes', () => {
    for (const nodes of [1, 3, 5]) expect(faultsOf(defaultOptions(nodes), { ...BOUNDS, nodes })).toEqual({});
  });

  test('is bounded by what a browser and a run can do', () => {
    check({ clients: 15 }, []);
    check({ clients: 16 }, ['clients']);
    check({ clients: 2.5 }, ['clients']);
    check({ clients: null as unknown as number }, ['clients']);
    check({ clients: 10, requestsPerClient: 10_000 }, []);
    check({ clients: 10, requestsPerClient: 10_001 }, ['requestsPerClient']);
    check({ model: 'open', rate: 0.5, durationS: 3600 }, []);
    check({ model: 'open', durationS: 3601 }, ['durationS']);
    check({ model: 'open', rate: 1000, durationS: 101 }, ['durationS']);
  });

  test('counts only in its own model', () => {
    check({ model: 'open', clients: 99 }, []);
    check({ model: 'closed', rate: -1 }, []);
  });

  test('fits into the cover', () => {
    check({ cover: 'small', secretBytes: 28_672 }, []);
    check({ cover: 'small', secretBytes: 28_800 }, ['secretBytes']);
    check({ cover: 'default', secretBytes: 28_800 }, []);
    expect(maxSecretBytes('default', { ...BOUNDS, maxSecretBytes: 1000 })).toBe(1000);
  });
});

describe('a schedule', () => {
  test('gives each client of the closed model its requests, due when it asks', () => {
    const schedule = new Schedule(options({ clients: 2, requestsPerClient: 3 }));
    const due = [0, 0, 1, 0, 0, 1, 1, 1].map((client, turn) => schedule.next(client, turn * 10));
    expect(due).toEqual([0, 10, 20, 30, null, 50, 60, null]);
    expect(schedule.dueBy(1000)).toBe(0);
  });

  test('spaces arrivals of the open model evenly, whoever takes them and when', () => {
    const open = options({ model: 'open', rate: 40, durationS: 1 });
    const schedule = new Schedule(open);
    const due = Array.from({ length: 41 }, (_, turn) => schedule.next(turn % 7, 99_999));
    expect(due.slice(0, 3)).toEqual([0, 25, 50]);
    expect(due.slice(39)).toEqual([975, null]);
    expect(plannedOf(open)).toBe(40);
    expect([0, 24, 25, 5000].map((elapsed) => schedule.dueBy(elapsed))).toEqual([1, 1, 2, 40]);
  });
});

test('a mix has its shares', () => {
  const tasks = Array.from({ length: 10 }, (_, tenth) => taskOf('mixed', tenth / 10));
  expect(tasks.filter((task) => task === 'embed')).toHaveLength(5);
  expect(tasks.filter((task) => task === 'extract')).toHaveLength(3);
  expect(tasks.filter((task) => task === 'roundtrip')).toHaveLength(2);
  expect(taskOf('extract', 0.1)).toBe('extract');
});
