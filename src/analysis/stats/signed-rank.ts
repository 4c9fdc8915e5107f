/**
 * Wilcoxon's signed-rank test, exact, one-sided: do paired differences lie above some value?
 *
 * It assumes that each difference is symmetric about its centre, and nothing else; drawing at random who goes first
 * makes that true where there is no difference. Ties get their mean rank and zeros no rank, and the distribution is
 * then computed for the ranks that are there, so the test stays exact (Wilcoxon 1945; Pratt and Gibbons 1981).
 */

/**
 * P(W = w) for w = 0 … n(n+1)/2: the sum of those of the ranks 1 … n that get a plus sign, each sign thrown with a
 * fair coin. By dynamic programming: rank r is in the sum or not.
 */
export function signedRankDistribution(n: number): readonly number[] {
  const known = distributions.get(n)
  if (known !== undefined) return known
  const made = sumsOfRanks(Array.from({ length: n }, (_, index) => index + 1))
  distributions.set(n, made)
  return made
}

const distributions = new Map<number, readonly number[]>()

/**
 * Probability of differences that lie at least this far above `centre`, if they are really symmetric about it. Small
 * values speak for a true difference above `centre`. 1 where no value differs from it.
 */
export function signedRankP(values: readonly number[], centre = 0): number {
  const differences = values.map((value) => value - centre).filter((value) => value !== 0)
  if (differences.length === 0) return 1
  const order = differences.map((value) => Math.abs(value)).sort((a, b) => a - b)
  // Twice the mean rank of each magnitude, which is whole: the first place of a tie plus its last.
  const doubled = new Map<number, number>()
  for (let first = 0; first < order.length; ) {
    let last = first
    while (order[last + 1] === order[first]) last++
    doubled.set(order[first]!, first + 1 + last + 1)
    first = last + 1
  }
  let observed = 0
  for (const value of differences) if (value > 0) observed += doubled.get(value)!
  if (doubled.size === order.length) return tail(signedRankDistribution(order.length), observed / 2)
  return tail(sumsOfRanks(order.map((magnitude) => doubled.get(magnitude)!)), observed)
}

function sumsOfRanks(ranks: readonly number[]): readonly number[] {
  let probabilities = [1]
  for (const rank of ranks) {
    const next = Array.from({ length: probabilities.length + rank }, () => 0)
    for (const [sum, probability] of probabilities.entries()) {
      next[sum]! += probability / 2
      next[sum + rank]! += probability / 2
    }
    probabilities = next
  }
  return probabilities
}

/** Sums from the rare end, so that small probabilities keep their digits. */
function tail(probabilities: readonly number[], from: number): number {
  let sum = 0
  for (let index = probabilities.length - 1; index >= from; index--) sum += probabilities[index]!
  return Math.min(1, sum)
}
