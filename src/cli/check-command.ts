/** `shootout check`: the conformance suite, without a test framework. */

import type { Command } from 'commander'
import { UsageError } from '../core/errors.ts'
import { storageUrl } from '../storages/registry.ts'
import { runCheck } from './check.ts'
import { LoopWatch } from './check-loop.ts'
import { useColor } from './console.ts'
import { parseContender } from './contenders.ts'
import { durationOf } from './flag-values.ts'
import { joinLists, splitList } from './lists.ts'

interface CheckFlags {
  readonly json?: boolean
  readonly only?: string
  readonly seed?: string
  readonly timeout?: string
}

/** Timers take no more: 2³¹ − 1 ms, which is 24 days. */
const timerMsMax = 2 ** 31 - 1

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('test whether a storage keeps the promises of the contract')
    .argument('<storage>', 'NAME or ./module.js, with ?option=value&…')
    .option(
      '--only <list>',
      'only these topics, or behaviours whose name contains one of these, comma-separated',
      joinLists,
    )
    .option('--seed <text>', 'seed of everything random, as printed by a failure')
    .option('--timeout <duration>', 'how long a behaviour may take before it counts as hanging', '60s')
    .option('--json', 'print JSON')
    .action(async (text: string, { timeout = '60s', ...flags }: CheckFlags) => {
      const request = parseContender(text)
      const timeoutMs = parseTimeout(timeout)
      const loop = new LoopWatch(timeoutMs)
      try {
        process.exitCode = await runCheck(storageUrl(request.storage), request.options ?? {}, {
          json: flags.json === true,
          ...(flags.only === undefined ? {} : { only: splitList(flags.only) }),
          color: useColor(process.stdout),
          storageName: request.storage,
          ...(flags.seed === undefined ? {} : { seed: flags.seed }),
          timeoutMs,
          begins: ({ topic, claim }) => loop.begins(`${topic}: ${claim}`),
          write: (text) => void process.stdout.write(text),
        })
      } finally {
        await loop.end()
      }
      endWhateverIsLeft()
    })
}

/** In milliseconds, as a timer takes it. */
function parseTimeout(text: string): number {
  const timeoutMs = durationOf('--timeout', text) / 1e6
  if (timeoutMs < 1)
    throw new UsageError('bad-value', `--timeout ${text}: a behaviour takes some time; give at least 1ms`)
  return Math.min(timeoutMs, timerMsMax)
}

/** A storage that was closed, or hangs, may have left what keeps the process alive for ever. */
function endWhateverIsLeft(): void {
  if (process.exitCode !== 0) {
    // The verdict stands, whatever becomes of a behaviour that was given up and goes on.
    process.on('unhandledRejection', () => {})
    process.on('rejectionHandled', () => {})
  }
  const timer = setTimeout(() => {
    const resources = [...new Set(process.getActiveResourcesInfo())].join(', ')
    process.stderr.write(`shootout: ended, though the storage has left something under way (${resources})\n`)
    process.exit()
  }, 5000)
  timer.unref()
}
