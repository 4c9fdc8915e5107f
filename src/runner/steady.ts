/** From which batch on the times of a pilot fork are steady. */

/** From this length on, batches are taken in fives, which evens out single slow ones. */
const lengthForGroups = 50
const groupSize = 5

/**
 * How many of the first values to leave out, so that what remains tells the mean best: the marginal standard error rule
 * on means of five (MSER-5, White, Cobb and Spratt 2000), on single values where there are few. At most half of them.
 */
export function truncationPoint(values: readonly number[]): number {
  const size = values.length >= lengthForGroups ? groupSize : 1
  const means = Array.from({ length: Math.floor(values.length / size) }, (_, group) => {
    const members = values.slice(group * size, (group + 1) * size)
    return members.reduce((sum, value) => sum + value, 0) / size
  })
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (let start = 0; start <= means.length / 2; start++) {
    const rest = means.slice(start)
    const mean = rest.reduce((sum, value) => sum + value, 0) / rest.length
    const squares = rest.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    const error = squares / rest.length ** 2
    if (error < least) {
      least = error
      best = start
    }
  }
  return best * size
}
