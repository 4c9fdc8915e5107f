/** What the command line of `shootout run` says, before it is read. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { UsageError } from '../core/errors.ts'
import { forkLadder } from '../runner/stages.ts'
import type { Flags } from './config.ts'

export interface RunFlags {
  readonly config?: string
  readonly preset?: string
  readonly quick?: boolean
  readonly rigorous?: boolean
  readonly resume?: string
  readonly plan?: string
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly printConfig?: boolean
  readonly profile?: string
  readonly [flag: string]: unknown
}

/** Only what was really given: what is not stays as the config file and the defaults say. */
export function configFlags(flags: RunFlags, command: Command): Flags {
  const given = (name: string) => (command.getOptionValueSource(name) === 'cli' ? flags[name] : undefined)
  const ways = ['forks', 'quick', 'rigorous', 'budget', 'precision'].filter(
    (name) => given(name) !== undefined,
  )
  if (ways.length > 1) {
    const [one, other] = ways.map((name) => `--${name}`)
    throw new UsageError('bad-value', `${one} and ${other} both decide the number of forks; give one of them`)
  }
  const preset = flags.quick ? forkLadder[0] : flags.rigorous ? forkLadder.at(-1) : undefined
  return {
    storages: given('storage'),
    scenarios: given('scenario'),
    objects: given('objects'),
    concurrency: given('concurrency'),
    forks: preset ?? given('forks'),
    budget: given('budget'),
    precision: given('precision'),
    batches: given('batches'),
    recordBytes: given('recordBytes'),
    compressibility: given('compressibility'),
    seed: given('seed'),
    reference: given('reference'),
    folder: given('folder'),
    timeout: given('timeout'),
    out: given('out'),
    html: given('html'),
  }
}

/** Where results go when nothing else was said. */
export function defaultOut(startedAt: string): string {
  return resolve('results', `${startedAt.slice(0, 19).replaceAll(':', '-')}.jsonl`)
}
