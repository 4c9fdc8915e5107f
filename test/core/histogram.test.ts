import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bucketOf, Histogram, middleOf } from '../../src/core/histogram.ts'

test('a bucket knows its values to within 1/64', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (value) => {
      expect(Math.abs(middleOf(bucketOf(value)) - value)).toBeLessThanOrEqual(Math.max(0, value / 64))
    }),
  )
})

test('buckets follow each other without gap or overlap', () => {
  let previous = -1
  for (let value = 0; value < 20_000; value++) {
    const bucket = bucketOf(value)
    expect(bucket - previous).toBeLessThanOrEqual(1)
    expect(bucket).toBeGreaterThanOrEqual(previous)
    previous = bucket
  }
})

test('quantiles agree with sorting, to bucket accuracy', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1e12 }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0.001, max: 1, noNaN: true }),
      (values, share) => {
        const histogram = new Histogram()
        for (const value of values) histogram.record(value)
        const exact = [...values].sort((a, b) => a - b)[Math.ceil(share * values.length) - 1]!
        expect(Math.abs(histogram.quantileNs(share) - exact)).toBeLessThanOrEqual(exact / 64)
      },
    ),
  )
})

test('a histogram survives its sparse form', () => {
  const histogram = new Histogram()
  for (const value of [3, 3, 500, 1e9]) histogram.record(value)
  const copy = new Histogram()
  const sparse = histogram.toSparse()
  for (let index = 0; index < sparse.length; index += 2) copy.add(sparse[index]!, sparse[index + 1]!)
  copy.raiseMax(histogram.maxNs)
  expect(copy.toSparse()).toEqual(sparse)
  expect(copy.count).toBe(4)
  expect(copy.quantileNs(1)).toBe(histogram.quantileNs(1))
})

test('an empty histogram has no quantile', () => {
  expect(new Histogram().quantileNs(0.5)).toBeNaN()
})
