/**
 * Many tests at once. `holm` bounds the probability of even one false alarm, which is what a gate promises; the false
 * discovery rate of Benjamini and Hochberg bounds the share of false alarms among the alarms, which is what somebody
 * needs who looks through a table.
 */

/** Holm's step-down procedure (1979): which hypotheses are rejected with a family-wise error of at most `alpha`. */
export function holm(ps: readonly number[], alpha: number): readonly boolean[] {
  const rejected = ps.map(() => false)
  const order = ps.map((_, index) => index).sort((a, b) => ps[a]! - ps[b]!)
  for (const [position, index] of order.entries()) {
    if (ps[index]! > alpha / (ps.length - position)) break
    rejected[index] = true
  }
  return rejected
}

/** Per p-value, the smallest false discovery rate at which it would be among the discoveries (1995). */
export function falseDiscoveryRates(ps: readonly number[]): readonly number[] {
  const order = ps.map((_, index) => index).sort((a, b) => ps[b]! - ps[a]!)
  const rates = ps.map(() => 1)
  let least = 1
  for (const [fromAbove, index] of order.entries()) {
    least = Math.min(least, (ps[index]! * ps.length) / (ps.length - fromAbove))
    rates[index] = least
  }
  return rates
}
