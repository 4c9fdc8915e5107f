/** What k of n trials say about a probability: the exact interval of Clopper and Pearson (1934). */

/**
 * The greatest probability with which k or fewer of n trials would still succeed in `1 − confidence` of the cases; with
 * no success in 60 trials, 5 %.
 */
export function upperBound(successes: number, trials: number, confidence = 0.95): number {
  if (successes >= trials) return 1
  return bisect((p) => atMost(successes, trials, p) > 1 - confidence)
}

/** The least such probability. */
export function lowerBound(successes: number, trials: number, confidence = 0.95): number {
  return successes === 0 ? 0 : 1 - upperBound(trials - successes, trials, confidence)
}

/** P(X ≤ k) for X ~ Bin(n, p). */
function atMost(k: number, n: number, p: number): number {
  // In logarithms, because no success in many trials is too improbable for a number.
  const odds = Math.log(p) - Math.log1p(-p)
  let logarithm = n * Math.log1p(-p)
  let sum = Math.exp(logarithm)
  for (let i = 1; i <= k; i++) {
    logarithm += Math.log((n - i + 1) / i) + odds
    sum += Math.exp(logarithm)
  }
  return sum
}

/** Where a condition that holds at 0 and not at 1 ceases to hold. */
function bisect(holds: (p: number) => boolean): number {
  let [low, high] = [0, 1]
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2
    if (holds(middle)) low = middle
    else high = middle
  }
  return (low + high) / 2
}
