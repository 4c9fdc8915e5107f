/**
 * Race models: a few objects, a rule that every transaction keeps, writers that step it on, and verifiers that never
 * may see it broken.
 *
 * Writers and verifiers keep a cache as a database connection does, cleaned by invalidations alone. A lost
 * invalidation, a torn commit, a stale read or a lost update breaks the rule sooner or later, in the transaction where
 * it happens or in the one after.
 */

import { isTransient } from '../core/errors.ts'
import { noTid, type Oid, type Tid } from '../core/ids.ts'
import type { Random } from '../core/random.ts'
import { fail, holds } from './claims.ts'
import { type Client, commitAtOnce, put, toText } from './client.ts'
import { interleave, type Turn } from './interleave.ts'

/** The numbers in the objects of a model. */
export type Numbers = readonly number[]

export interface RaceModel {
  readonly name: string
  readonly start: Numbers
  /** The next state. Counts as one step. */
  step(numbers: Numbers, random: Random): Numbers
  /** What is wrong with the numbers of one snapshot, undefined when nothing is. */
  problem(numbers: Numbers): string | undefined
  /** How many steps lead to these numbers, where that can be told: then no update may be lost. */
  steps?(numbers: Numbers): number
}

/** Two objects that are always equal. */
export const pairModel: RaceModel = {
  name: 'two objects kept equal',
  start: [0, 0],
  step: ([a = 0, b = 0]) => [a + 1, b + 1],
  problem: ([a, b]) => (a === b ? undefined : `two objects that are kept equal differ: ${a} and ${b}`),
  steps: ([a = 0]) => a,
}

/** Two objects that are stepped in turn, and a third that tells whose turn it is: first − second = phase. */
export const phaseModel: RaceModel = {
  name: 'three objects in step',
  start: [0, 0, 0],
  step: ([a = 0, b = 0, phase = 0]) => (phase === 0 ? [a + 1, b, 1] : [a, b + 1, 0]),
  problem: ([a = 0, b = 0, phase]) =>
    a - b === phase ? undefined : `objects are out of step: ${a} − ${b} is not the phase ${phase}`,
  steps: ([a = 0, b = 0]) => a + b,
}

/** Accounts between which amounts move; their sum stays. Each step writes two of them. */
export const bankModel: RaceModel = {
  name: 'amounts moved between accounts',
  start: [100, 100, 100, 100, 100, 100],
  step(numbers, random) {
    const [from = 0, to = 0] = random.shuffled([...numbers.keys()])
    const moved = [...numbers]
    moved[from]! -= 1
    moved[to]! += 1
    return moved
  },
  problem(numbers) {
    const sum = numbers.reduce((total, amount) => total + amount, 0)
    return sum === 600 ? undefined : `the sum of the accounts is ${sum}, should be 600`
  },
}

export interface RaceOptions {
  readonly writers: readonly Client[]
  readonly verifiers: readonly Client[]
  /** Steps that each writer tries. */
  readonly attempts: number
  /** Rounds of each verifier. */
  readonly rounds: number
  /** Others may run between a vote and its finish. */
  readonly splitsCommit: boolean
}

/** Runs a model. Every writer's and verifier's storage must be able to see `oids`' first commit already. */
export async function race(model: RaceModel, random: Random, options: RaceOptions): Promise<void> {
  const { writers, verifiers } = options
  const oids = await writers[0]!.create(...model.start.map(String))
  for (const client of [...writers, ...verifiers]) await seeing(client, oids)
  let stepped = 0
  const actors = [
    ...writers.map((client, index) => async (turn: Turn) => {
      const own = random.split('writer', index)
      const reader = new CachingReader(client, oids)
      for (let attempt = 0; attempt < options.attempts; attempt++) {
        if (await tryStep(model, reader, own, turn, options.splitsCommit)) stepped++
      }
    }),
    ...verifiers.map((client, index) => async (turn: Turn) => {
      const own = random.split('verifier', index)
      const reader = new CachingReader(client, oids)
      for (let round = 0; round < options.rounds; round++) {
        await turn()
        await reader.poll()
        verify(model, await reader.read(own, turn))
      }
    }),
  ]
  await interleave(random.split('schedule'), actors)
  if (stepped === 0) fail('no writer ever got through')
  const reader = new CachingReader(writers[0]!, oids)
  await reader.poll()
  const numbers = await reader.read(random, async () => {})
  verify(model, numbers)
  const counted = model.steps?.(numbers)
  holds(
    counted === undefined || counted === stepped,
    `no update is lost: ${stepped} transactions committed, ${counted} are there`,
  )
}

function verify(model: RaceModel, numbers: Numbers): void {
  const problem = model.problem(numbers)
  if (problem !== undefined) fail(problem)
}

/** Waits until the client's storage has heard of the objects. */
async function seeing(client: Client, oids: readonly Oid[]): Promise<void> {
  const end = Date.now() + 10_000
  while ((await client.readNow(oids.at(-1)!)) === undefined) {
    if (Date.now() > end) fail('a commit through one storage is not seen through another, even after 10 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** One step as a transaction. False when somebody else was faster. */
async function tryStep(
  model: RaceModel,
  reader: CachingReader,
  random: Random,
  turn: Turn,
  splitsCommit: boolean,
): Promise<boolean> {
  await turn()
  await reader.poll()
  const before = await reader.read(random, turn)
  verify(model, before)
  const next = model.step(before, random)
  const written = [...next.keys()].filter((index) => next[index] !== before[index])
  await turn()
  const transaction = reader.client.begin()
  const inTwoSteps = async (): Promise<Tid> => {
    const voted = await transaction.vote()
    if (splitsCommit) await turn()
    return await voted.finish()
  }
  try {
    for (const index of written) {
      await put(transaction, reader.oids[index]!, reader.serialOf(index), String(next[index]))
    }
    for (const index of next.keys()) {
      if (!written.includes(index)) await transaction.readCurrent(reader.oids[index]!, reader.serialOf(index))
    }
    const tid = random.integer(2) === 0 ? await inTwoSteps() : (await commitAtOnce(transaction)).tid
    for (const index of written) reader.remember(index, next[index]!, tid)
    return true
  } catch (error) {
    await transaction.abort()
    if (!isTransient(error)) throw error
    // Somebody was faster. What made it fail may be cached and stale, as in a connection after a conflict.
    reader.forget()
    return false
  }
}

/** Reads as a connection does: from its cache, except for what a poll reported. */
class CachingReader {
  readonly client: Client
  readonly oids: readonly Oid[]
  readonly #cache = new Map<Oid, { readonly value: number; readonly serial: Tid }>()

  constructor(client: Client, oids: readonly Oid[]) {
    this.client = client
    this.oids = oids
  }

  async poll(): Promise<void> {
    const changed = await this.client.poll()
    if (changed === 'all') this.#cache.clear()
    else for (const oid of changed) this.#cache.delete(oid)
  }

  /** All numbers in one snapshot, in random order, about half of what is cached from the cache. */
  async read(random: Random, turn: Turn): Promise<Numbers> {
    const numbers: number[] = []
    for (const index of random.shuffled([...this.oids.keys()])) {
      const oid = this.oids[index]!
      const cached = this.#cache.get(oid)
      if (cached !== undefined && random.integer(2) === 0) {
        numbers[index] = cached.value
        continue
      }
      await turn()
      const { data, serial } = await this.client.load(oid)
      const value = Number(toText(data))
      if (cached !== undefined && cached.serial !== serial) {
        fail(
          `lost invalidation or stale read: object ${oid} is at ${serial} in this snapshot, but no poll since ` +
            `has reported a change of the revision ${cached.serial} that was read before`,
        )
      }
      this.#cache.set(oid, { value, serial })
      numbers[index] = value
    }
    return numbers
  }

  serialOf(index: number): Tid {
    return this.#cache.get(this.oids[index]!)?.serial ?? noTid
  }

  remember(index: number, value: number, serial: Tid): void {
    this.#cache.set(this.oids[index]!, { value, serial })
  }

  forget(): void {
    this.#cache.clear()
  }
}
