/** The binomial distribution with p = 1/2: on which side of the true median does a value fall. */

/** P(X = k) for X ~ Bin(n, 1/2). */
export function coinProbability(k: number, n: number): number {
  if (k < 0 || k > n) return 0
  // In logarithms, because 2^-n alone would underflow from n = 1075 on.
  let logarithm = -n * Math.LN2
  for (let i = 1; i <= Math.min(k, n - k); i++) logarithm += Math.log((n - i + 1) / i)
  return Math.exp(logarithm)
}

/** P(X ≤ k) for X ~ Bin(n, 1/2). */
export function coinCumulative(k: number, n: number): number {
  if (k < 0) return 0
  let logarithm = -n * Math.LN2
  let sum = Math.exp(logarithm)
  for (let i = 1; i <= Math.min(k, n); i++) {
    logarithm += Math.log((n - i + 1) / i)
    sum += Math.exp(logarithm)
  }
  return Math.min(1, sum)
}
