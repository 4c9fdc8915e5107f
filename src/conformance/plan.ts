/**
 * Which behaviours apply to a storage, and how each is run: in a workshop of its own, with a time limit, and with the
 * seed in the message when it fails.
 */

import { closestName, ShootoutError, UsageError } from '../core/errors.ts'
import { type OptionsOf, type OptionsSpec, parseOptions } from '../core/options.ts'
import { Random } from '../core/random.ts'
import type { StorageModule } from '../storages/storage.ts'
import type { Behaviour, Facts, Topic } from './behaviour.ts'
import { within } from './claims.ts'
import { type CreateStore, type StoreSource, storeSource } from './stores.ts'
import { topics } from './topics.ts'
import { Workshop } from './workshop.ts'

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
  /** Progress and oddities from the storage. */
  log?(message: string): void
}

export interface Check {
  readonly topic: string
  readonly claim: string
  /** Rejects when the claim does not hold. */
  run(): Promise<void>
}

export interface SkippedCheck {
  readonly topic: string
  readonly claim: string
  readonly reason: string
}

export interface CheckPlan {
  readonly storage: string
  readonly seed: string
  readonly checks: readonly Check[]
  readonly skipped: readonly SkippedCheck[]
  /** Ends what was provisioned. */
  dispose(): Promise<void>
}

/** No behaviour takes a second on a healthy storage; a minute means that it hangs. */
const limitMs = 60_000

/**
 * @throws UsageError when options are wrong, no stores can be made, or `only` or `skip` names nothing
 * @throws ShootoutError `storage-unavailable`
 */
export async function planChecks(target: Target): Promise<CheckPlan> {
  const { module } = target
  const options = parseOptions(module.name, module.options, target.options ?? {})
  const seed = target.seed ?? String(Math.floor(Math.random() * 0x1_0000_0000))
  const source = await storeSource(module, options, target.create, target.log ?? (() => {}))
  if (!source.available) {
    throw new ShootoutError(
      'storage-unavailable',
      `storage ${module.name} cannot be used here: ${source.reason}`,
    )
  }
  try {
    checkNames(target)
    const facts = await findFacts(module, options, source)
    const checks: Check[] = []
    const skipped: SkippedCheck[] = []
    for (const topic of topics) {
      for (const behaviour of topic.behaviours) {
        if (!isWanted(target, topic, behaviour)) continue
        const named = { topic: topic.name, claim: behaviour.claim }
        const reason = skipReason(target, facts, topic, behaviour)
        if (reason !== undefined) skipped.push({ ...named, reason })
        else checks.push({ ...named, run: () => run(module, options, source, seed, topic, behaviour) })
      }
    }
    return { storage: module.name, seed, checks, skipped, dispose: () => source.dispose() }
  } catch (error) {
    await source.dispose()
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

/** Opens a store once, to see what cannot be known from the capabilities. */
async function findFacts(
  module: StorageModule,
  options: OptionsOf<OptionsSpec>,
  source: StoreSource,
): Promise<Facts> {
  const shop = new Workshop(module, options, source, new Random('facts'))
  try {
    const storage = await shop.storage()
    return { capabilities: shop.capabilities, hasCache: storage.cache !== undefined }
  } finally {
    await shop.dispose()
  }
}

async function run(
  module: StorageModule,
  options: OptionsOf<OptionsSpec>,
  source: StoreSource,
  seed: string,
  topic: Topic,
  behaviour: Behaviour,
): Promise<void> {
  const random = new Random(seed).split(topic.name, behaviour.claim)
  const shop = new Workshop(module, options, source, random)
  try {
    await within(limitMs, 'this', behaviour.run(shop))
  } catch (error) {
    // What broke is the news; a clean-up that fails after it only follows from it.
    await within(10_000, 'closing', shop.dispose()).catch(() => {})
    if (error instanceof Error) error.message += `\n(seed ${seed})`
    throw error
  }
  await within(10_000, 'closing everything afterwards', shop.dispose())
}
