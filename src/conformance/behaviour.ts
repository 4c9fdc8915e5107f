/**
 * What a topic is made of: behaviours, each a claim and a way to see whether it holds. Nothing here knows a test
 * framework.
 */

import type { Capabilities } from '../storages/storage.ts'
import type { Workshop } from './workshop.ts'

/** What decides whether a topic or behaviour makes sense for a storage. */
export interface Facts {
  readonly capabilities: Capabilities
  /** The storage keeps a cache of its own. */
  readonly hasCache: boolean
}

/** Undefined when it makes sense, else the reason why not. */
export type Need = (facts: Facts) => string | undefined

export interface Behaviour {
  /** What the storage does, in the present tense: `a snapshot stays as it is while others commit`. */
  readonly claim: string
  readonly needs?: Need
  run(shop: Workshop): Promise<void>
}

export interface Topic {
  /** One or two words, for `--only`. */
  readonly name: string
  readonly needs?: Need
  readonly behaviours: readonly Behaviour[]
}

/** Defines a topic. `tell` calls `it` once per behaviour, in the order in which they run. */
export function topic(
  name: string,
  tell: (it: (claim: string, run: (shop: Workshop) => Promise<void>, needs?: Need) => void) => void,
  needs?: Need,
): Topic {
  const behaviours: Behaviour[] = []
  tell((claim, run, need) =>
    behaviours.push(need === undefined ? { claim, run } : { claim, run, needs: need }),
  )
  return needs === undefined ? { name, behaviours } : { name, behaviours, needs }
}

type Flag = {
  [K in keyof Capabilities]: Capabilities[K] extends boolean ? K : never
}[keyof Capabilities]

/** Needs these capabilities to be true. */
export function needs(...flags: readonly Flag[]): Need {
  return ({ capabilities }) => {
    const missing = flags.filter((flag) => !capabilities[flag])
    return missing.length === 0
      ? undefined
      : `needs ${missing.join(' and ')}, which the storage does not claim`
  }
}

export const needsCache: Need = ({ hasCache }) => (hasCache ? undefined : 'the storage keeps no cache')

export const needsSharing: Need = ({ capabilities }) =>
  capabilities.reach === 'isolate'
    ? 'one event loop is all that may use the store (reach: isolate)'
    : undefined
