import { expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'

test('equal seeds give equal numbers, for ever', () => {
  const random = new Random('golden')
  expect([random.uint32(), random.uint32(), random.uint32()]).toMatchInlineSnapshot(`
    [
      2404610539,
      2951239581,
      762243313,
    ]
  `)
})

test('a split does not depend on how often its parent was used', () => {
  const fresh = new Random('s')
  const used = new Random('s')
  used.uint32()
  expect(used.split('data', 3).uint32()).toBe(fresh.split('data', 3).uint32())
  expect(fresh.split('data', 3).uint32()).not.toBe(fresh.split('data', 4).uint32())
})

test('integers are uniform', () => {
  const random = new Random('uniform')
  const counts = new Array<number>(10).fill(0)
  for (let draw = 0; draw < 100_000; draw++) counts[random.integer(10)]!++
  // 4 standard deviations of a binomial with p = 0.1.
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(380)
})

test('normals have mean 0 and variance 1', () => {
  const random = new Random('normal')
  const draws = Array.from({ length: 50_000 }, () => random.normal())
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length
  expect(Math.abs(mean)).toBeLessThan(0.02)
  expect(Math.abs(variance - 1)).toBeLessThan(0.03)
})

test('shuffling keeps every item and reaches every order', () => {
  const random = new Random('shuffle')
  const orders = new Set(Array.from({ length: 200 }, () => random.shuffled([1, 2, 3]).join('')))
  expect([...orders].sort()).toEqual(['123', '132', '213', '231', '312', '321'])
})
