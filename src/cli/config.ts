/**
 * The configuration of a run: defaults ← config file ← command line, each value with its origin.
 */

import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Limits } from '../analysis/gate/policy.ts'
import { closestName, UsageError } from '../core/errors.ts'
import { checkedRecordSizes, type RecordSizes } from '../core/record-sizes.ts'
import { parseDuration, parseShare } from '../core/units.ts'
import { type Concurrency, type ConcurrencyKind, concurrencyKinds } from '../results/schema.ts'
import { canonicalScenarioName } from '../scenarios/registry.ts'
import { storageNames } from '../storages/registry.ts'
import { type ContenderRequest, parseContender } from './contenders.ts'

/** Everything that decides what a run does. */
export interface RunConfig {
  readonly storages: readonly ContenderRequest[]
  /** Names, `headline`, `all`, or paths of modules. */
  readonly scenarios: readonly string[]
  readonly objects: readonly number[]
  readonly concurrency: readonly Concurrency[]
  /** Forks per cell; undefined: as many as the budget allows. */
  readonly forks: number | undefined
  readonly batches: number
  /** What the run may take, ns. */
  readonly budget: number
  /** Wanted half-width of intervals, as a share. */
  readonly precision: number | undefined
  readonly recordBytes: RecordSizes
  readonly compressibility: number
  readonly seed: string | undefined
  /** The contender that ratios refer to. */
  readonly reference: string | undefined
  /** Where stores are made: the disk that is measured. */
  readonly folder: string
  /** A step of a fork that takes longer is taken for a hang, ns. */
  readonly timeout: number
  readonly out: string | undefined
  readonly html: string | undefined
  /** Of the gate, for cells of one scenario, by its name. */
  readonly gateLimits: Readonly<Record<string, Limits>>
}

/** Where a value came from: `default`, the path of the config file, or the flag. */
export type Origins = Readonly<Record<keyof RunConfig, string>>

export interface LoadedConfig {
  readonly config: RunConfig
  readonly origins: Origins
  /** Folder against which paths of modules are resolved. */
  readonly baseFolder: string
}

const cores = availableParallelism()

const defaults: RunConfig = {
  storages: storageNames.map((storage) => ({ storage })),
  scenarios: ['headline'],
  objects: [1, 20],
  concurrency: [
    { kind: 'async', workers: 1 },
    { kind: 'async', workers: 5 },
    { kind: 'threads', workers: Math.max(2, Math.min(cores, 4)) },
    { kind: 'processes', workers: Math.max(2, Math.min(cores, 4)) },
  ],
  forks: undefined,
  batches: 5,
  budget: 240e9,
  precision: undefined,
  recordBytes: 300,
  compressibility: 0.5,
  seed: undefined,
  reference: undefined,
  folder: tmpdir(),
  timeout: 60e9,
  out: undefined,
  html: undefined,
  gateLimits: {},
}

/** What is measured of a crowd: starting and filling six storages takes longer than timing them. */
const crowdedGrid: Pick<RunConfig, 'objects' | 'concurrency'> = {
  objects: [5],
  concurrency: defaults.concurrency.filter(({ kind, workers }) => kind !== 'async' || workers === 1),
}
const crowd = 4

/**
 * Object counts and concurrency. Where the user chose neither, they shrink with the number of contenders that can be
 * measured, so that a bare run keeps to its budget.
 */
export function gridOf(
  { config, origins }: LoadedConfig,
  available: number,
): Pick<RunConfig, 'objects' | 'concurrency'> {
  const isOurs = origins.objects === 'default' && origins.concurrency === 'default'
  const { objects, concurrency } = isOurs && available >= crowd ? crowdedGrid : config
  return { objects, concurrency }
}

/** Grids to start from; flags still win. */
export const presets: Readonly<Record<string, Partial<RunConfig>>> = {
  /** The grid of the RelStorage 3.0 announcement: kinds × 1, 5, 20 workers × 1, 5, 20 objects. */
  relstorage3: {
    scenarios: ['add', 'update', 'cold-read', 'cached-read', 'conflict'],
    objects: [1, 5, 20],
    concurrency: concurrencyKinds.flatMap((kind) => [1, 5, 20].map((workers) => ({ kind, workers }))),
  },
}

/** How a value of the config file or the command line becomes the real one. Strings are the command line's form. */
type Readers = { readonly [K in keyof RunConfig]: (value: unknown) => NonNullable<RunConfig[K]> }

const readers: Readers = {
  storages: (value) => list(value, 'storages').map(contender),
  scenarios: (value) => list(value, 'scenarios').map((one) => text(one, 'a scenario')),
  objects: (value) => list(value, 'objects').map((one) => integer(one, 'objects', 1, 1_000_000)),
  concurrency: (value) => list(value, 'concurrency').map(concurrency),
  forks: (value) => integer(value, 'forks', 1, 1000),
  batches: (value) => integer(value, 'batches', 1, 10_000),
  budget: duration,
  precision: (value) => {
    const precision = share(value, 'precision')
    if (!(precision > 0 && precision < 1)) throw bad('precision', value, 'a share such as 2% or 0.02')
    return precision
  },
  recordBytes: checkedRecordSizes,
  compressibility: (value) => {
    const wanted = 'a share from 0 to 1, such as 50% or 0.5'
    const compressibility = Number(value) === 1 ? 1 : share(value, 'compressibility', wanted)
    if (compressibility > 1) throw bad('compressibility', value, wanted)
    return compressibility
  },
  seed: (value) => String(value),
  reference: (value) => text(value, 'reference'),
  folder: (value) => resolve(text(value, 'folder')),
  timeout: duration,
  out: (value) => resolve(text(value, 'out')),
  html: (value) => resolve(text(value, 'html')),
  gateLimits,
}

/** Values from the command line, unread: as commander gives them. */
export type Flags = Readonly<Partial<Record<keyof RunConfig, unknown>>>

/**
 * @param flags what was given on the command line
 * @param configPath config file; undefined: `shootout.config.js` or `.json` of the working directory, if there is one
 * @throws UsageError naming the place and the value
 */
export async function loadConfig(
  flags: Flags,
  configPath: string | undefined,
  preset?: string,
): Promise<LoadedConfig> {
  const path = configPath === undefined ? findConfig() : resolve(configPath)
  const fromFile = path === undefined ? {} : await readConfigFile(path)
  const config: Record<string, unknown> = { ...defaults }
  const origins: Record<string, string> = Object.fromEntries(
    Object.keys(defaults).map((key) => [key, 'default']),
  )
  const take = (key: keyof RunConfig, value: unknown, origin: string) => {
    if (value === undefined) return
    try {
      config[key] = readers[key](value)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      // A flag is its own name; in a file it must be said which setting it is. Once.
      const { message } = error
      const named = origin.startsWith('--')
        ? message.replace(new RegExp(`^${key}: `), '')
        : message.startsWith(key)
          ? message
          : `${key}: ${message}`
      throw new UsageError(error.code, `${origin}: ${named}`, { cause: error })
    }
    origins[key] = origin
  }
  for (const [key, value] of Object.entries(fromFile)) take(key as keyof RunConfig, value, path!)
  if (preset !== undefined) {
    const values = presets[preset]
    if (values === undefined) {
      throw new UsageError(
        'unknown-preset',
        `there is no preset "${preset}"; known are ${Object.keys(presets).join(', ')}`,
      )
    }
    for (const [key, value] of Object.entries(values)) {
      config[key] = value
      origins[key] = `--preset ${preset}`
    }
  }
  for (const [key, value] of Object.entries(flags)) take(key as keyof RunConfig, value, `--${flagOf(key)}`)
  return {
    config: config as unknown as RunConfig,
    origins: origins as Origins,
    baseFolder: path === undefined || flags.storages !== undefined ? process.cwd() : dirname(path),
  }
}

/** `recordBytes` → `record-bytes`; lists are given by a singular flag. */
function flagOf(key: string): string {
  const singular: Readonly<Record<string, string>> = { storages: 'storage', scenarios: 'scenario' }
  return singular[key] ?? key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function findConfig(): string | undefined {
  return ['shootout.config.js', 'shootout.config.mjs', 'shootout.config.json']
    .map((name) => resolve(name))
    .find((path) => existsSync(path))
}

async function readConfigFile(path: string): Promise<Record<string, unknown>> {
  if (!existsSync(path)) {
    throw new UsageError('config-not-found', `there is no config file ${path}; check --config`)
  }
  let value: unknown
  try {
    if (statSync(path).isDirectory()) throw new Error('it is a folder')
    value = path.endsWith('.json')
      ? JSON.parse(await readFile(path, 'utf8'))
      : ((await import(pathToFileURL(path).href)) as { default?: unknown }).default
  } catch (cause) {
    throw new UsageError(
      'config-broken',
      `${path} cannot be read (${(cause as Error).message}); mend it, or name another with --config`,
      { cause },
    )
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(
      'config-broken',
      `${path} must hold an object of settings (in .js, as its default export)`,
    )
  }
  for (const key of Object.keys(value)) {
    if (key in defaults) continue
    const closest = closestName(key, Object.keys(defaults))
    throw new UsageError(
      'config-broken',
      `${path}: there is no setting "${key}"; ${closest === undefined ? `known are ${Object.keys(defaults).join(', ')}` : `did you mean "${closest}"?`}`,
    )
  }
  return value as Record<string, unknown>
}

function list(value: unknown, what: string): readonly unknown[] {
  const items = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value
  if (!Array.isArray(items) || items.length === 0 || items.some((item) => item === '')) {
    throw bad(what, value, 'a list, separated by commas')
  }
  return [...new Set(items)]
}

function contender(value: unknown): ContenderRequest {
  if (typeof value === 'string') return parseContender(value)
  const request = value as Partial<Record<keyof ContenderRequest, unknown>> | null
  if (typeof request !== 'object' || request === null || typeof request.storage !== 'string') {
    throw bad('storage', value, 'a name, or { label, storage, options }')
  }
  return value as ContenderRequest
}

function concurrency(value: unknown): Concurrency {
  const given = value as Partial<Concurrency> | string
  const [kind, workers] =
    typeof given === 'string' ? given.split(':') : [given?.kind as string | undefined, given?.workers]
  if (kind === undefined || !(concurrencyKinds as readonly string[]).includes(kind)) {
    const closest = closestName(kind ?? '', concurrencyKinds)
    throw bad('concurrency', value, `KIND:WORKERS, with KIND one of ${concurrencyKinds.join(', ')}`, closest)
  }
  if (workers === undefined) throw bad('concurrency', value, `KIND:WORKERS, such as ${kind}:4`)
  return { kind: kind as ConcurrencyKind, workers: integer(workers, `${kind} workers`, 1, 1000) }
}

/** `{ 'cold-read': { tau: '3%', delta: 0.08 } }`. */
function gateLimits(value: unknown): Readonly<Record<string, Limits>> {
  const expected = "an object such as { 'cold-read': { tau: '3%', delta: '8%' } }"
  const isObject = (one: unknown): one is Record<string, unknown> =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
  if (!isObject(value)) throw bad('gateLimits', value, expected)
  return Object.fromEntries(
    Object.entries(value).map(([scenario, limits]) => {
      if (!isObject(limits)) throw bad(`gateLimits of ${scenario}`, limits, expected)
      const known = Object.entries(limits).map(([name, limit]) => {
        if (name !== 'tau' && name !== 'delta') throw bad(`gateLimits of ${scenario}`, name, 'tau or delta')
        return [name, share(limit, `gateLimits of ${scenario}, ${name}`)]
      })
      return [canonicalScenarioName(scenario) ?? scenario, Object.fromEntries(known) as Limits]
    }),
  )
}

function text(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw bad(what, value, 'text')
  return value
}

function integer(value: unknown, what: string, min: number, max: number): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max) {
    throw bad(what, value, `an integer from ${min} to ${max}`)
  }
  return number
}

/** `2%`, or a number. */
function share(value: unknown, what: string, wanted = 'a share such as 2% or 0.02'): number {
  if (typeof value !== 'string' && typeof value !== 'number') throw bad(what, value, wanted)
  try {
    return parseShare(String(value))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw bad(what, value, wanted)
  }
}

function duration(value: unknown): number {
  return typeof value === 'number' ? value * 1e9 : parseDuration(text(value, 'duration'))
}

function bad(what: string, value: unknown, expected: string, closest?: string): UsageError {
  const hint = closest === undefined ? '' : `; did you mean "${closest}"?`
  return new UsageError('bad-value', `${what}: ${JSON.stringify(value)} is not ${expected}${hint}`)
}
