/**
 * What `shootout.config.js` may export and `shootout.config.json` may hold, as types. `shootout run --print-config`
 * shows what came of it.
 */

import type { RecordSizes } from '../core/record-sizes.ts'
import type { Concurrency } from '../results/schema.ts'
import type { ContenderRequest } from './contenders.ts'

/** Every setting is optional and means what the flag of that name means; texts are read as on the command line. */
export interface ConfigFile {
  /** `'sqlite'`, `'fast=file?durability=os'`, `'./my-storage.js'`, or `{ label, storage, options }`. */
  readonly storages?: readonly (string | ContenderRequest)[]
  /** Names, `'headline'`, `'all'`, or paths of modules. */
  readonly scenarios?: readonly string[]
  /** Objects per operation. */
  readonly objects?: readonly number[]
  /** `'threads:4'`, or `{ kind: 'threads', workers: 4 }`. */
  readonly concurrency?: readonly (string | Concurrency)[]
  /** Forks per cell; decides instead of the budget. */
  readonly forks?: number
  /** What the run may take: `'10m'`, or seconds. */
  readonly budget?: string | number
  /** Wanted half-width of intervals: `'2%'`, or 0.02. */
  readonly precision?: string | number
  /** Measured batches per fork. */
  readonly batches?: number
  /** `300`, `'100-4kb'`, `'200:70,64kb:30'`, or the object form. */
  readonly recordBytes?: string | RecordSizes
  /** Share of a record that a compressor can remove, 0 to 1. */
  readonly compressibility?: number
  /** Of data, order and everything else random. */
  readonly seed?: string | number
  /** Label of the contender that ratios refer to. */
  readonly reference?: string
  /** Where stores are made: the disk to measure. */
  readonly folder?: string
  /** A step of a fork that takes longer is taken for a hang: `'60s'`, or seconds. */
  readonly timeout?: string | number
  /** Results file. */
  readonly out?: string
  /** Also write a report with charts to this file. */
  readonly html?: string
  /** Of the gate, by scenario: what is ignored (`tau`) and what must be excluded (`delta`), `'3%'` or 0.03. */
  readonly gateLimits?: Readonly<
    Record<string, { readonly tau?: string | number; readonly delta?: string | number }>
  >
}

/** Types a config file: `export default defineConfig({ … })`. */
export function defineConfig(config: ConfigFile): ConfigFile {
  return config
}
