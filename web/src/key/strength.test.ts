import { expect, test } from 'vitest';

import { bitsOf, strengthOf } from './strength';

test('what is guessed first is weak', () => {
  for (const weak of ['a', 'password', 'hunter2', 'Summer2024!', 'correct horse', 'aaaaaaaaaaaaaaaaaaaa', '12345678901234567890', 'abcdefghijkl']) {
    expect(strengthOf(weak), weak).toBe('weak');
  }
  expect(strengthOf('')).toBe('none');
});

test('six drawn words are strong, and so are many characters without a sense', () => {
  expect(strengthOf('lemon tuna rescue orbit flame vessel')).toBe('strong');
  expect(strengthOf('k7#Q2!vX9z_L4p')).toBe('strong');
  expect(strengthOf('lemon tuna rescue orbit flame')).toBe('fair');
});

test('the same word twice is one word', () => {
  expect(bitsOf('lemon lemon lemon')).toBe(bitsOf('lemon'));
});
