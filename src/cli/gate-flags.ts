/** What the words after `shootout gate` mean: from flags to a job. */

import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { defaultPolicy, type Limits, type Policy, withLimits } from '../analysis/gate/policy.ts'
import { closestName, UsageError } from '../core/errors.ts'
import { shellWord } from '../core/shell-word.ts'
import type { Side } from '../results/gate-schema.ts'
import { scenarioNames } from '../scenarios/registry.ts'
import { counterNames } from '../storages/storage.ts'
import { openBuild } from './builds.ts'
import { type Flags, loadConfig, type RunConfig } from './config.ts'
import { parseContender, type ResolvedContender, resolveContender } from './contenders.ts'
import { shareOf } from './flag-values.ts'
import type { GateJob } from './gate-job.ts'
import { type InterruptedGate, readInterruptedGate } from './gate-past.ts'
import type { SavedJob } from './gate-saved.ts'
import { splitList } from './lists.ts'
import { resolveScenarios } from './scenarios.ts'

export interface GateFlags {
  readonly baseline: string
  readonly candidate?: string
  readonly baselineFrom?: string
  readonly candidateFrom?: string
  readonly tau: string
  readonly delta: string
  readonly rounds: string
  readonly tolerance?: string
  readonly counters?: 'gate' | 'report'
  readonly allowMismatch?: string
  readonly onInconclusive: 'fail' | 'pass'
  readonly format: 'table' | 'md' | 'json'
  readonly markdown?: string
  readonly junit?: string
  readonly annotations?: boolean
  readonly force?: boolean
  readonly resume?: string
  readonly quarantine: boolean
  readonly explain: boolean
  readonly config?: string
  readonly [flag: string]: unknown
}

/** A required check must be quick: the headline scenarios with one client. */
export const gateDefaults = { concurrency: 'async:1', budget: '15m' } as const

/** Limits and counters mean the same; the cells are those of the file, as far as they are wanted. */
export async function prepareSaved(
  flags: GateFlags,
  command: Command,
  newFolder: () => Promise<string>,
): Promise<SavedJob> {
  if (flags.resume !== undefined) {
    throw new UsageError(
      'resume-options',
      '--resume is for gates that measure both sides; start this one again',
    )
  }
  if (flags.candidate === undefined || flags.baselineFrom !== undefined) {
    throw new UsageError('missing-option', 'a saved baseline needs --candidate, and has no --baseline-from')
  }
  const given = withDefaults(flags, command)
  const { config, baseFolder, origins } = await loadConfig(given, flags.config)
  const from = flags.candidateFrom
  const build = from === undefined ? undefined : await openBuild(from, newFolder)
  const candidate = await resolveContender(parseContender(flags.candidate), process.cwd(), build)
  const isGiven = (key: 'scenarios' | 'objects') => origins[key] !== 'default'
  const scenarios = isGiven('scenarios') ? await resolveScenarios(config.scenarios, baseFolder) : undefined
  const seed = config.seed ?? randomBytes(6).toString('hex')
  const policy = policyOf(flags)
  return {
    baseline: flags.baseline,
    name: flags.candidate,
    candidate,
    only: {
      scenarios: scenarios?.map(({ module }) => module.name),
      objects: isGiven('objects') ? config.objects : undefined,
      concurrency: command.getOptionValueSource('concurrency') === 'cli' ? config.concurrency : undefined,
    },
    dataset: {
      ...(given.recordBytes === undefined ? {} : { recordBytes: config.recordBytes }),
      ...(given.compressibility === undefined ? {} : { compressibility: config.compressibility }),
    },
    folder: config.folder,
    timeoutNs: config.timeout,
    policy,
    // Scenarios of other modules are known to the file alone.
    limits: limitsOf(config, policy, undefined),
    tolerances: flags.counters === 'report' ? undefined : tolerancesOf(flags.tolerance),
    allowed: splitList(flags.allowMismatch),
    seed,
    again: commandAgain(seed),
    out: config.out ?? defaultJournal(),
    force: flags.force === true,
    scratch: await newFolder(),
  }
}

function policyOf(flags: GateFlags): Policy {
  return withLimits(defaultPolicy, {
    tau: shareOf('--tau', flags.tau),
    delta: shareOf('--delta', flags.delta),
  })
}

/**
 * What the config file says of single scenarios.
 * @param names those there are, if that is known
 */
function limitsOf(
  { gateLimits }: RunConfig,
  policy: Policy,
  names: readonly string[] | undefined,
): ReadonlyMap<string, Limits> {
  const limits = new Map(Object.entries(gateLimits))
  for (const [scenario, own] of limits) {
    if (names !== undefined && !names.includes(scenario)) {
      const closest = closestName(scenario, names)
      throw new UsageError(
        'unknown-scenario',
        `gateLimits: there is no scenario "${scenario}"${closest === undefined ? '' : `; did you mean "${closest}"?`}`,
      )
    }
    withLimits(policy, own, `gateLimits of ${scenario}: `)
  }
  return limits
}

function defaultJournal(): string {
  return resolve('results', `gate-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.jsonl`)
}

export async function prepare(
  flags: GateFlags,
  command: Command,
  newFolder: () => Promise<string>,
): Promise<GateJob> {
  const loaded = await loadConfig(withDefaults(flags, command), flags.config)
  const { config } = loaded
  const candidateText = flags.candidate ?? sameStorage(flags)
  const side = async (label: Side, text: string, from: string | undefined) =>
    resolveContender(
      { ...parseContender(text), label },
      process.cwd(),
      from === undefined ? undefined : await openBuild(from, newFolder),
    )
  const contenders = [
    await side('baseline', flags.baseline, flags.baselineFrom),
    await side('candidate', candidateText, flags.candidateFrom),
  ]
  const policy = policyOf(flags)
  const scenarios = await resolveScenarios(config.scenarios, loaded.baseFolder)
  const limits = limitsOf(config, policy, [...scenarioNames, ...scenarios.map(({ module }) => module.name)])
  const [baseline, candidate] = contenders
  const areDifferent =
    baseline!.storage !== candidate!.storage &&
    baseline!.source === baseline!.storage &&
    candidate!.source === candidate!.storage
  const counters = flags.counters ?? (areDifferent ? 'report' : 'gate')
  const allowed = splitList(flags.allowMismatch)
  for (const field of allowed) {
    if (field !== 'durability')
      throw new UsageError(
        'unknown-field',
        `--allow-mismatch: "${field}" is not compared; only durability is`,
      )
  }
  const interrupted = flags.resume === undefined ? undefined : interruptedGate(flags.resume, flags)
  const seed = interrupted?.header.seed ?? config.seed ?? randomBytes(6).toString('hex')
  return {
    contenders,
    names: {
      baseline: nameOf(flags.baseline, contenders[0]!),
      candidate: nameOf(candidateText, contenders[1]!),
    },
    scenarios,
    config,
    seed,
    policy,
    limits,
    rounds: wholeNumber('--rounds', flags.rounds),
    tolerances: counters === 'gate' ? tolerancesOf(flags.tolerance) : undefined,
    keepsDisturbed: !flags.quarantine,
    explains: flags.explain,
    allowUnequalDurability: allowed.includes('durability'),
    again: commandAgain(seed),
    out: flags.resume === undefined ? (config.out ?? defaultJournal()) : resolve(flags.resume),
    ...(interrupted === undefined ? {} : { interrupted }),
  }
}

function interruptedGate(path: string, flags: GateFlags): InterruptedGate {
  if (flags['out'] !== undefined || flags['seed'] !== undefined) {
    throw new UsageError(
      'resume-options',
      '--resume goes on in its journal with its seed; leave out --out and --seed',
    )
  }
  return readInterruptedGate(resolve(path))
}

/** The same storage from another build is what changed; everything else needs to be said. */
function sameStorage({ baseline, baselineFrom, candidateFrom }: GateFlags): string {
  if (baselineFrom === undefined && candidateFrom === undefined) {
    throw new UsageError('missing-option', 'name what shall not be slower: --candidate NAME or ./module.js')
  }
  return baseline
}

function nameOf(given: string, { build }: ResolvedContender): string {
  return build === undefined ? given : `${given} of ${build}`
}

/** Flags that were given; where nobody said anything, not even the config file, the gate's own defaults. */
function withDefaults(flags: GateFlags, command: Command): Flags {
  const given = (name: string) => (command.getOptionValueSource(name) === 'cli' ? flags[name] : undefined)
  return {
    scenarios: given('scenario'),
    objects: given('objects'),
    concurrency: given('concurrency') ?? gateDefaults.concurrency,
    budget: given('budget') ?? gateDefaults.budget,
    recordBytes: given('recordBytes'),
    compressibility: given('compressibility'),
    seed: given('seed'),
    folder: given('folder'),
    timeout: given('timeout'),
    out: given('out'),
  }
}

/** The whole command once more, with the seed in it and from the beginning. */
export function commandAgain(seed: string): string {
  const given = withoutResume(process.argv.slice(2))
  return `shootout ${given.map(shellWord).join(' ')}${given.includes('--seed') ? '' : ` --seed ${seed}`}`
}

function withoutResume(words: readonly string[]): readonly string[] {
  return words.filter((word, at) => !word.startsWith('--resume') && words[at - 1] !== '--resume')
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1 || value > 1000) {
    throw new UsageError('bad-value', `${flag}: "${text}" is not an integer from 1 to 1000`)
  }
  return value
}

function tolerancesOf(given: string | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries(
    splitList(given).map((text) => {
      const [name = '', value = ''] = text.split('=')
      if (!(counterNames as readonly string[]).includes(name)) {
        const closest = closestName(name, counterNames)
        throw new UsageError(
          'bad-value',
          `--tolerance: there is no counter "${name}"; ${closest === undefined ? `there are ${counterNames.join(', ')}` : `did you mean "${closest}"?`}`,
        )
      }
      return [name, shareOf('--tolerance', value)]
    }),
  )
}
