/** Collecting young objects, which takes a flag of V8 for a moment. */

import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { collectYoung } from '../../../src/storages/zeo/garbage.ts'

test('it collects, and leaves no collector lying about for others', () => {
  for (let times = 0; times < 2; times++) expect(() => collectYoung()).not.toThrow()
  expect(runInNewContext('typeof gc')).toBe('undefined')
  expect(typeof Reflect.get(globalThis, 'gc')).toBe('undefined')
})
