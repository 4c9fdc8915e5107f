/** Values of forks to an estimate. */

import type { Estimate } from './model.ts'
import { medianInterval } from './stats/median-interval.ts'
import { median } from './stats/quantiles.ts'

export function estimate(values: readonly number[]): Estimate {
  return {
    median: median(values),
    interval: medianInterval(values),
    min: Math.min(...values),
    max: Math.max(...values),
    n: values.length,
  }
}

/** Half the width of the interval as a share of the median, on the wider side; undefined without an interval. */
export function halfWidthShare({ median, interval }: Estimate): number | undefined {
  return interval === undefined ? undefined : Math.max(interval.high - median, median - interval.low) / median
}

/** The same for the whole range, which stands in where there are too few forks for an interval. */
export function rangeShare({ median, min, max }: Estimate): number {
  return Math.max(max - median, median - min) / median
}
