import { expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import { truncationPoint } from '../../src/runner/steady.ts'

const random = new Random('steady')
const noise = (share: number) => 1 + share * random.normal()

test('a flat series loses next to nothing', () => {
  const points = Array.from({ length: 100 }, () => {
    const values = Array.from({ length: 90 }, () => 100 * noise(0.03))
    return truncationPoint(values)
  })
  // The rule leaves out a few values now and then; a quarter of the series would be a fault.
  expect(points.filter((point) => point > 22).length).toBeLessThan(20)
})

test.each([5, 10, 20])(
  'a warm-up of %i batches in a pilot of 90 is found, to within a group of five',
  (length) => {
    for (let repetition = 0; repetition < 50; repetition++) {
      const values = Array.from({ length: 90 }, (_, at) => (at < length ? 300 : 100) * noise(0.03))
      const point = truncationPoint(values)
      expect(point).toBeGreaterThanOrEqual(length)
      expect(point).toBeLessThanOrEqual(45)
    }
  },
)

test('a decay ends where it is lost in the noise', () => {
  const values = Array.from({ length: 30 }, (_, at) => 100 * (1 + 2 * Math.exp(-at / 3)) * noise(0.01))
  const point = truncationPoint(values)
  expect(point).toBeGreaterThan(5)
  expect(point).toBeLessThanOrEqual(15)
})

test('what never settles is cut in the middle; one value, or none, is not cut', () => {
  expect(truncationPoint(Array.from({ length: 40 }, (_, at) => 1000 - at * 20))).toBe(20)
  expect(truncationPoint([5])).toBe(0)
  expect(truncationPoint([])).toBe(0)
})
