/** Which behaviours apply to a storage, and which are left out, with the reason. */

import { closestName, ShootoutError, UsageError } from '../core/errors.ts'
import { parseOptions } from '../core/options.ts'
import type { StorageModule } from '../storages/storage.ts'
import type { Behaviour, Facts, Topic } from './behaviour.ts'
import { Conduct, limited } from './conduct.ts'
import { type CreateStore, storeSource } from './stores.ts'
import { topics } from './topics.ts'

/** What is to be checked. */
export interface Target {
  readonly module: StorageModule
  /** Options of the storage as a person gives them. */
  readonly options?: Readonly<Record<string, unknown>>
  /** Makes stores, for a persistent storage without `provision`. */
  readonly create?: CreateStore
  /** Known deviations: topic, or `topic: claim` → the reason, which is printed. */
  readonly skip?: Readonly<Record<string, string>>
  /** Only these topics, or claims that contain one of these texts. */
  readonly only?: readonly string[]
  /** Random choices follow from it. A new one each time when left out. */
  readonly seed?: string
  /**
   * How long a behaviour may take before it fails with `check-timeout`. Default: a minute. No behaviour takes a
   * second on a healthy storage, so this tells what hangs from what is slow.
   */
  readonly timeoutMs?: number
  /** Progress and oddities from the storage. */
  log?(message: string): void
}

/** One behaviour that applies to the storage. */
export interface Check {
  readonly topic: string
  readonly claim: string
  /**
   * Rejects when the claim does not hold; with `check-timeout` when it takes too long, and, when three have, with
   * `check-given-up` at once.
   */
  run(): Promise<void>
}

/** One behaviour that does not apply, and why. */
export interface SkippedCheck {
  readonly topic: string
  readonly claim: string
  readonly reason: string
}

/** What there is to check. Whoever made it disposes of it. */
export interface CheckPlan {
  readonly storage: string
  readonly seed: string
  readonly checks: readonly Check[]
  readonly skipped: readonly SkippedCheck[]
  /** Ends what was provisioned. */
  dispose(): Promise<void>
}

const defaultTimeoutMs = 60_000

/**
 * @throws UsageError when options are wrong, no stores can be made, or `only` or `skip` names nothing
 * @throws ShootoutError `storage-unavailable`, `check-timeout` when the storage cannot be opened and closed in time
 */
export async function planChecks(target: Target): Promise<CheckPlan> {
  const { module } = target
  const options = parseOptions(module.name, module.options, target.options ?? {})
  const seed = target.seed ?? String(Math.floor(Math.random() * 0x1_0000_0000))
  const timeoutMs = target.timeoutMs ?? defaultTimeoutMs
  // Making stores may mean starting a server, which is not what a short limit is about.
  const provisionMs = Math.max(timeoutMs, defaultTimeoutMs)
  const source = await limited(provisionMs, 'provision', () =>
    storeSource(module, options, target.create, target.log ?? (() => {})),
  )
  if (!source.available) {
    throw new ShootoutError(
      'storage-unavailable',
      `storage ${module.name} cannot be used here: ${source.reason}`,
    )
  }
  const dispose = () => limited(provisionMs, 'dispose of what was provisioned', () => source.dispose())
  try {
    checkNames(target)
    const conduct = new Conduct({ module, options, source, seed, timeoutMs })
    const facts = await conduct.findFacts()
    const checks: Check[] = []
    const skipped: SkippedCheck[] = []
    for (const topic of topics) {
      for (const behaviour of topic.behaviours) {
        if (!isWanted(target, topic, behaviour)) continue
        const named = { topic: topic.name, claim: behaviour.claim }
        const reason = skipReason(target, facts, topic, behaviour)
        if (reason !== undefined) skipped.push({ ...named, reason })
        else checks.push({ ...named, run: () => conduct.run(topic, behaviour) })
      }
    }
    return { storage: module.name, seed, checks, skipped, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

function isWanted({ only }: Target, topic: Topic, behaviour: Behaviour): boolean {
  return (
    only === undefined ||
    only.some((text) => text === topic.name || fullName(topic, behaviour).includes(text))
  )
}

function skipReason(target: Target, facts: Facts, topic: Topic, behaviour: Behaviour): string | undefined {
  return (
    target.skip?.[topic.name] ??
    target.skip?.[fullName(topic, behaviour)] ??
    topic.needs?.(facts) ??
    behaviour.needs?.(facts)
  )
}

function fullName(topic: Topic, behaviour: Behaviour): string {
  return `${topic.name}: ${behaviour.claim}`
}

/** A misspelt name would silently check nothing, or skip nothing. */
function checkNames({ only = [], skip = {} }: Target): void {
  const topicNames = topics.map((topic) => topic.name)
  const names = [
    ...topicNames,
    ...topics.flatMap((topic) => topic.behaviours.map((one) => fullName(topic, one))),
  ]
  const isKnown = (text: string) => names.some((name) => name.includes(text))
  const unknown = [
    ...only.filter((text) => !isKnown(text)),
    ...Object.keys(skip).filter((name) => !names.includes(name)),
  ]
  if (unknown.length === 0) return
  const closest = closestName(unknown[0]!, topicNames)
  throw new UsageError(
    'unknown-check',
    `no topic or behaviour is called "${unknown[0]}"; ` +
      (closest === undefined ? `topics are ${topicNames.join(', ')}` : `did you mean "${closest}"?`),
    { details: { unknown } },
  )
}
