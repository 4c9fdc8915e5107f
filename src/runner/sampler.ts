/**
 * The sampling loop of a fork, on tinybench: one task, one iteration per granted batch, each iteration reporting the
 * time that the stopwatch measured.
 *
 * tinybench is used for exactly this. Its retained samples are sorted and its interval treats iterations of one
 * process as independent, so the ordered log is the caller's and every statistic is computed elsewhere.
 */

import { Bench } from 'tinybench'

/**
 * Takes `count` samples, one after the other.
 * @param take performs one batch and returns its time in ns
 */
export async function sample(name: string, count: number, take: () => Promise<number>): Promise<void> {
  const bench = new Bench({
    name,
    time: 0,
    iterations: count,
    warmup: false,
    throws: true,
    retainSamples: false,
  })
  bench.add(name, async () => ({ overriddenDuration: (await take()) / 1e6 }), { async: true })
  await bench.run()
}
