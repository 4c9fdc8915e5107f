/** `shootout cache simulate`, as a person types it. */

import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { afterEach, expect, test, vi } from 'vitest'
import { registerCache } from '../../../src/cli/cache.ts'

const cs = fileURLToPath(new URL('traces/cs.trace.gz', import.meta.url))
const written: string[] = []
afterEach(() => {
  vi.restoreAllMocks()
  written.length = 0
})

async function shootout(...words: string[]): Promise<string> {
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  const program = new Command().exitOverride()
  registerCache(program)
  await program.parseAsync(['cache', 'simulate', ...words], { from: 'user' })
  return written.join('')
}

test('prints one line for each size and policy', async () => {
  const text = await shootout(cs, '--format', 'lirs', '--policy', 'lru,slru', '--entries', '100,1000')
  expect(text).toBe(
    [
      'cache  policy  requests  misses  miss ratio  byte miss ratio  evictions',
      '  100  lru         6781    6657      0.9817           0.9817       6557',
      '  100  slru        6781    6477      0.9552           0.9552       6377',
      ' 1000  lru         6781    6657      0.9817           0.9817       5657',
      ' 1000  slru        6781    3809      0.5617           0.5617       2809',
      '',
    ].join('\n'),
  )
})

test('gives programs the same as JSON', async () => {
  const results = JSON.parse(
    await shootout(cs, '--format', 'lirs', '--entries', '500', '--json'),
  ) as unknown[]
  expect(results).toHaveLength(8)
  expect(results[0]).toMatchObject({ policy: 's3-fifo', capacity: 500, requests: 6781 })
})

test.each([
  [[cs, '--entries', '100'], /not recorded by shootout; say what it is with --format/],
  [[cs, '--format', 'lirs'], /say how large the cache is/],
  [[cs, '--format', 'lirs', '--entries', 'many'], /not a size/],
  [[cs, '--format', 'lirs', '--bytes', '1kb', '--policy', 'lrru'], /did you mean lru/],
  [['/no/such.trace', '--bytes', '1kb'], /cannot be read/],
])('says what is wrong with %s', async (words, problem) => {
  await expect(shootout(...words)).rejects.toThrow(problem)
})
